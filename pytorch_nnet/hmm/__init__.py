"""Hidden Markov models: topology, GMM training, phonetic decision tree, Viterbi alignment."""
