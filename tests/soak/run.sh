#!/usr/bin/env bash
# Cheap stages over the layers that write in a real recipe: job arrays, archives, stores, checkpoints, lattices. For tests/soak.sh.
# shellcheck disable=SC2119
set -euo pipefail

stage=0 stop_stage=3 nj=2 force=false dry_run=false status=false makes=

cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. utils/parse_options.sh
. utils/stages.sh
hold_folder

if begin 0 "a data directory and two frame stores"; then
  once --out data/toy --name prepare -- python3 step.py data data/toy
  for set in train dev; do once --out "exp/frames_$set" -- python3 step.py store "exp/frames_$set"; done
  end
fi

if begin 1 "archives in jobs, more into a folder that is there"; then
  once --out exp/ali -- utils/run.py JOB=1:2 exp/ali/log/ali.JOB.log python3 step.py ali exp/ali JOB
  once --out data/toy --name feats -- utils/run.py data/toy/log/feats.log python3 step.py feats data/toy
  end
fi

if begin 2 "a network"; then
  once --out exp/dnn -- utils/run.py exp/dnn/log/train.log \
    steps/train_nnet --arch dnn --hidden 16 --splice 1 --batch 32 --epoch-batches 50 --max-epochs 4 --patience 1 --rollback true \
    --rate 0.05 exp/frames_train exp/frames_dev exp/dnn
  end
fi

if begin 3 "side by side: soft labels, lattices"; then
  spawn "" once --out exp/soft -- steps/dump_posteriors --nj 1 --cmd utils/run.py --top-c 3 exp/dnn exp/frames_train exp/soft
  for name in a b; do
    spawn "" once --out "exp/lat_$name" -- utils/run.py JOB=1:2 "exp/lat_$name/log/lat.JOB.log" python3 step.py lattices "exp/lat_$name" JOB
  done
  join
  end
fi
