"""What local/run_cldnn.sh has left: networks over utterances that decode, evaluate and stand in a table."""

import json


def test_networks_over_utterances_have_rows(recipe):
    rows = [line.split("\t") for line in (recipe / "exp/cldnn/results/table1.tsv").read_text().splitlines()]
    names = {row[1] for row in rows[1:]}
    assert {"CLDNN", "BLSTM over utterances"} <= names
    for name in ("cldnn", "blstm"):
        folder = recipe / "exp/cldnn" / name
        assert 0 < json.loads((folder / "eval.json").read_text())["fer"] < 1
        assert (folder / "decode_eval2000_tg/num_jobs").exists()
        assert json.loads((folder / "info.json").read_text())["kind"] == ("cldnn" if name == "cldnn" else "recurrent")
