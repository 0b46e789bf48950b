# A few minutes of speech: every stage for real, nothing good.
# shellcheck shell=bash disable=SC2034
mono_gauss=250
tri_leaves=120
tri_gauss=600
beam=8 lattice_beam=2 max_active=1500
