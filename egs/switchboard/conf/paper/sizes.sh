# Switchboard's 309 hours; Kaldi egs/swbd/s5c sizes its triphones alike, the 9000 leaves are the paper's.
# shellcheck shell=bash disable=SC2034
mono_gauss=1000
mono_opts="" tri_opts=""
tri1_size="5500 90000" tri2_size="9000 140000" tri3_size="9000 200000"  # leaves and Gaussians
device=cuda  # of the networks when they are evaluated; conf/paper/*.yaml say where they are trained
acwt=0.1 beam=13 lattice_beam=8 max_active=7000
