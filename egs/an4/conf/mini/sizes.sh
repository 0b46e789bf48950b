# 37 minutes of speech: sizes of the GMMs and of the search. The networks' configurations are the Switchboard recipe's.
# shellcheck shell=bash disable=SC2034
# WER on dev: triphones of 200 leaves and 3000 Gaussians 9.6 %, of 300 and 4000 7.8; with LDA+MLLT 250 and 3000 8.1, 300 and 4000 10.7,
# 400 and 5000 10.9; with fMLLR 250 and 3000 8.4, 300 and 4000 7.1 (35 iterations), 400 and 5000 6.7.
mono_gauss=2000
mono_opts="" tri_opts="--num-iters 20 --max-iter-inc 14 --realign-iters 6,12"
tri1_size="300 4000" tri2_size="250 3000" tri3_size="400 5000"  # leaves and Gaussians
acwt=0.1 beam=10 lattice_beam=4 max_active=2500
