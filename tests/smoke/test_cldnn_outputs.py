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


def test_the_cldnn_is_a_teacher_beside_the_lstms(recipe):
    teacher = json.loads((recipe / "exp/cldnn/soft_ens_lstms_cldnn/meta.json").read_text())
    student = (recipe / "exp/cldnn/student_lstms_cldnn/config.yaml").read_text()
    assert len(teacher["teachers"]) == 3 and "soft_labels: exp/cldnn/soft_ens_lstms_cldnn" in student
    rows = {row.split("\t")[1]: row.split("\t") for row in (recipe / "exp/cldnn/results/table1.tsv").read_text().splitlines()[1:]}
    for name in ("CNN taught by the CLDNN", "CNN taught by 2 BLSTMs + CLDNN", "CNN taught by 2 BLSTMs", "vision-style CNN"):
        assert all(rows[name][2:5]), "parameters, FER and WER"


def test_any_networks_teach(recipe):
    """local/run_blending.sh: a DNN and a BLSTM over utterances as the teacher of a CNN."""
    teacher = json.loads((recipe / "exp/blending/soft_teacher/meta.json").read_text())
    assert [one["name"] for one in teacher["teachers"]] == ["dnn", "blstm"]
    rows = {row.split("\t")[1]: row.split("\t") for row in (recipe / "exp/blending/results/table1.tsv").read_text().splitlines()[1:]}
    for name in ("the teacher: dnn + cldnn/blstm", "vision-style CNN, seed 1", "taught, seed 1"):
        assert all(rows[name][2:5]), "parameters, FER and WER"
    other = json.loads((recipe / "exp/blending/student1/info.json").read_text())["label_map"]
    assert other == json.loads((recipe / "exp/cnn/info.json").read_text())["label_map"]
