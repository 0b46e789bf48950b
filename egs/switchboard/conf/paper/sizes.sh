# Switchboard's 309 hours; Kaldi egs/swbd/s5c sizes its triphones alike, the 9000 leaves are the paper's.
# shellcheck shell=bash disable=SC2034
mono_gauss=1000
tri_leaves=9000
mono_opts="" tri_opts=""
tri_gauss=150000
acwt=0.1 beam=13 lattice_beam=8 max_active=7000
