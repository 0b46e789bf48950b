"""What the stages of tests/soak/run.sh do: step.py data|store|ali|feats|lattices <folder> [<job>]. Each takes its time over writing."""

import time
from pathlib import Path

import numpy as np

from pytorch_nnet.io.archives import write_ali, write_ark_scp
from pytorch_nnet.io.main import run_main
from pytorch_nnet.io.publish import publish, publish_folder

UTTS = 30


def slowly(items):
    for item in items:
        yield item
        time.sleep(0.01)


def make_data(folder, random):
    with publish_folder(folder) as temporary:
        for name in ("text", "utt2spk"):
            (temporary / name).write_text("".join(f"utt{number:02} {random.integers(100)}\n" for number in slowly(range(UTTS))))


def make_store(folder, random):
    from pytorch_nnet.frames.store import write_frame_store

    def utterances():
        for number in slowly(range(UTTS)):
            labels = np.repeat(random.integers(4, size=10), 5)
            yield f"utt{number:02}", labels[:, None] + random.normal(size=(50, 31)), labels

    write_frame_store(folder, utterances(), num_classes=4, label_map="toy", cmvn={"norm_means": True, "norm_vars": False})


def make_ali(folder, random, job):
    write_ali(folder / f"ali.{job}.gz", {f"utt{number:02}": random.integers(9, size=40, dtype=np.int32) for number in slowly(range(UTTS))})
    with publish(folder / f"loglike.{job}") as file:
        file.write(f"{job}\n")


def make_feats(folder, random):
    pairs = ((f"utt{number:02}", random.normal(size=(20, 5)).astype(np.float32)) for number in slowly(range(UTTS)))
    write_ark_scp(folder / "data/feats.1.ark", folder / "feats.scp", pairs)


def make_lattices(folder, random, job):
    from pytorch_nnet.decoding.lattice import Lattice, LatticeWriter

    with LatticeWriter(folder / f"lat.{job}.npz") as writer:
        for number in slowly(range(UTTS)):
            scores = random.normal(size=(2, 8))
            lattice = Lattice.build(np.arange(8), np.arange(1, 9), random.integers(1, 50, 8), *scores, np.arange(9, dtype=np.int32))
            writer.write(f"utt{number:02}", lattice)


def main(argv):
    what, folder, *job = argv
    random = np.random.default_rng([ord(letter) for letter in "".join(argv)])
    {"data": make_data, "store": make_store, "ali": make_ali, "feats": make_feats, "lattices": make_lattices}[what](Path(folder), random, *job)


if __name__ == "__main__":
    run_main(main)
