# 40 minutes of speech, a vocabulary of 100 words: sizes of the GMMs and of the search. The networks' configurations are the Switchboard recipe's.
# shellcheck shell=bash disable=SC2034
mono_gauss=1000
mono_opts="" tri_opts="--num-iters 20 --max-iter-inc 14 --realign-iters 6,12"
tri1_size="300 2500" tri2_size="400 4000" tri3_size="400 4000"  # leaves and Gaussians
acwt=0.1 beam=9 lattice_beam=3 max_active=1500
