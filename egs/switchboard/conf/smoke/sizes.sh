# A few minutes of speech: every stage for real, nothing good.
# shellcheck shell=bash disable=SC2034
mono_gauss=250
tri_leaves=120
mono_opts="--num-iters 16 --max-iter-inc 12" tri_opts="--num-iters 14 --max-iter-inc 10"
tri_gauss=600
acwt=0.125 beam=8 lattice_beam=2 max_active=1500
