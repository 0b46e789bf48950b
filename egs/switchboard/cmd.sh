# How jobs are run. `utils/run.py` runs them on this machine; --max-jobs-run limits how many at once.
# shellcheck shell=bash disable=SC2034
train_cmd="utils/run.py"
decode_cmd="utils/run.py"
cuda_cmd="utils/run.py"
