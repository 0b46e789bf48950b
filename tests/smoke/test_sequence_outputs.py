"""What local/run_sequence.sh has left: lattices of both stores, and networks that decode and stand beside those they began with."""

import json

import numpy as np
import pytest

from pytorch_nnet.frames.lattices import LatticeStore
from pytorch_nnet.frames.store import FrameStore
from pytorch_nnet.models import load_model


@pytest.mark.parametrize("name", ["dev", "train"])
def test_lattices_belong_to_the_store_and_hold_its_labels(recipe, name):
    store, lattices = FrameStore.open(recipe / f"exp/frames_{name}"), LatticeStore.open(recipe / f"exp/sequence/denlats_dnn_{name}")
    lattices.check_matches(store)
    assert len(lattices.failed) <= 0.05 * store.num_utts and lattices.silence_pdfs
    for index in range(0, store.num_utts, 7):
        lattice = lattices.lattice(store.utt_slice(index))
        if lattice is not None:
            labels = store.labels[store.utt_slice(index)]
            assert np.unique(lattice.frame[lattice.pdf == labels[lattice.frame]]).tolist() == list(range(len(labels)))
            assert len(lattice.src) > len(labels) and np.unique(lattice.frame[lattice.reference]).tolist() == list(range(len(labels)))


def test_sequence_trained_networks_have_rows(recipe):
    rows = [line.split("\t") for line in (recipe / "exp/sequence/results/table1.tsv").read_text().splitlines()]
    assert {"dnn, MMI", "dnn, sMBR", "cnn, sMBR", "baseline DNN", "vision-style CNN"} <= {row[1] for row in rows[1:]}
    for name in ("dnn_mmi", "dnn_smbr", "cnn_smbr"):
        folder = recipe / "exp/sequence" / name
        assert (folder / "decode_eval2000_tg/num_jobs").exists() and 0 < json.loads((folder / "eval.json").read_text())["fer"] < 1
        assert load_model(folder).parameters == load_model(recipe / "exp" / name.partition("_")[0]).parameters
