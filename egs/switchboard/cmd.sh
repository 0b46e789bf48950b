# How jobs are run: on this machine, or on a Slurm cluster after `export JOBS_ON=slurm` (utils/slurm.py --help; docs/cluster.md).
# What comes out is the same, so what one has made is up to date for the other. Edit as your cluster wants it: --mem, --time,
# --sbatch "--partition=... --account=...".
# shellcheck shell=bash disable=SC2034
case ${JOBS_ON:-here} in
  here)
    train_cmd="utils/run.py"  # --max-jobs-run N limits how many jobs run at once
    decode_cmd="utils/run.py"
    cuda_cmd="utils/run.py"   # trains networks; --processes 4 for as many GPUs
    ;;
  slurm)
    train_cmd="utils/slurm.py --mem 4G"
    decode_cmd="utils/slurm.py --mem 8G"
    cuda_cmd="utils/slurm.py --mem 16G"  # --gpu 1 for a preset with device: cuda; --nodes 2 --gpu 4 --processes 4 for eight of them
    ;;
  *)
    echo "cmd.sh: JOBS_ON is here or slurm, not '$JOBS_ON'" >&2
    exit 1
    ;;
esac
