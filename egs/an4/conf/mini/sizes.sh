# An hour of speech: sizes of the GMMs and of the search.
# shellcheck shell=bash disable=SC2034
mono_gauss=800
tri_leaves=400
tri_gauss=4000
beam=13 lattice_beam=6 max_active=7000
