"""What local/run_ctc.sh has left: CTC networks that decode in the graph of their units and stand in a table beside hybrids."""

import json

from pytorch_nnet.decoding.lattice import LatticeReader
from pytorch_nnet.features.reader import FeatureReader


def test_ctc_networks_have_rows_beside_hybrids(recipe):
    rows = [line.split("\t") for line in (recipe / "exp/ctc/results/table1.tsv").read_text().splitlines()]
    names = {row[1] for row in rows[1:]}
    assert {"baseline DNN", "Conv-BiGRU, CTC of phones", "Conv-BiGRU, CTC of graphemes", "Conv-BiGRU, CTC of phones, prefix search"} <= names
    for name, kind in (("bigru", "phones"), ("graphemes", "graphemes")):
        folder = recipe / "exp/ctc" / name
        info = json.loads((folder / "info.json").read_text())
        assert (info["kind"], info["units"]["kind"], info["subsampling"]) == ("conv_bigru", kind, 3)
        assert 0 < json.loads((folder / "eval.json").read_text())["uer"] < 2
        assert (folder / "decode_eval2000_tg/num_jobs").exists()


def test_lattices_are_as_long_as_the_features(recipe):
    frames = {utt: len(rows) for utt, rows in FeatureReader(recipe / "data/dev_fbank", None)}
    found = 0
    for path in sorted((recipe / "exp/ctc/bigru/decode_dev_tg").glob("lat.*.npz")):
        for utt, lattice in LatticeReader(path):
            found += 1
            assert 0 <= lattice.num_frames - frames[utt] < 3
    assert found > 0.9 * len(frames)
