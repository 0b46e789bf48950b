# The networks see the training set at three speeds and train four times as long as in the mini preset.
# shellcheck shell=bash disable=SC2034
# shellcheck source=/dev/null
. conf/mini/sizes.sh  # of the GMMs and of the search
speeds=0.9,1,1.1
