# An hour of speech: sizes of the GMMs and of the search.
# shellcheck shell=bash disable=SC2034
mono_gauss=800
tri_leaves=400
mono_opts="" tri_opts=""
tri_gauss=4000
beam=10 lattice_beam=4 max_active=2500
