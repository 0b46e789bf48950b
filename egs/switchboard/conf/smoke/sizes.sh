# A few minutes of speech: every stage for real, nothing good.
# shellcheck shell=bash disable=SC2034
mono_gauss=250
mono_opts="--num-iters 16 --max-iter-inc 12" tri_opts="--num-iters 8 --max-iter-inc 5 --realign-iters 4"
tri1_size="120 600" tri2_size="120 600" tri3_size="120 600"  # leaves and Gaussians
dnn_passes=2
denlat_opts="--beam 8 --lattice-beam 2 --max-active 500"
acwt=0.125 beam=8 lattice_beam=2 max_active=1500
