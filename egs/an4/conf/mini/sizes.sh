# 37 minutes of speech: sizes of the GMMs and of the search. The networks' configurations are the Switchboard recipe's.
# shellcheck shell=bash disable=SC2034
# WER on dev: monophones of 800, 1400, 2000 Gaussians 14.9, 15.1, 14.0 %; triphones of 200 leaves and 3000 Gaussians 13.2, 250 and 3000
# 15.6, 500 and 5000 16.7, 500 and 8000 18.7; after LDA+MLLT and fMLLR, 250 and 3000 8.9, 500 and 5000 10.4.
mono_gauss=2000
mono_opts="" tri_opts="--num-iters 20 --max-iter-inc 14 --realign-iters 6,12"
tri1_size="200 3000" tri2_size="250 3000" tri3_size="250 3000"  # leaves and Gaussians
acwt=0.1 beam=10 lattice_beam=4 max_active=2500
