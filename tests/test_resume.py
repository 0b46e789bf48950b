"""Killed GMM trainings and decodings go on, and end as if nothing had happened."""

import importlib
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytorch_nnet.hmm import train
from pytorch_nnet.hmm.train import DeltasOptions, MonoOptions, train_deltas, train_mono
from pytorch_nnet.hmm.train_transforms import LdaMlltOptions, SatOptions, train_lda_mllt, train_sat
from pytorch_nnet.io.resume import Landmark, note_work, same_work, work
from toy_hmm import make_data, make_lang


@dataclass
class Options:
    beam: float = 10.0
    cmd: str = "utils/run.py"


def test_work_is_the_same_until_an_option_or_an_input_changes(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "text").write_text("a one\n")
    facts = work(Options(), [tmp_path / "data"], leaves=3)
    assert facts == work(Options(cmd="slurm.py"), [tmp_path / "data"], leaves=3)
    assert facts != work(Options(beam=9.0), [tmp_path / "data"], leaves=3)
    assert facts != work(Options(), [tmp_path / "data"], leaves=4)
    note_work(tmp_path, facts)
    assert same_work(tmp_path, facts)
    os.utime(tmp_path / "data" / "text", ns=(1, 1))
    assert not same_work(tmp_path, work(Options(), [tmp_path / "data"], leaves=3))
    note_work(tmp_path, None)
    assert not same_work(tmp_path, facts)


def replace(path: Path, text: str) -> None:
    """As publish does it: the old file's other names keep the old content."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def test_a_landmark_brings_back_its_files_and_no_other_works(tmp_path):
    facts = {"beam": 10}
    mark = Landmark(tmp_path, facts)
    assert mark.restore() is None
    for number in range(1, 12):  # more than nine: they are ordered as numbers
        replace(tmp_path / "1.mdl", f"model {number}")
        mark.save(["*.mdl"], {"done": number})
    assert len(mark.places()) == 1
    replace(tmp_path / "1.mdl", "what was killed")
    assert Landmark(tmp_path, {"beam": 9}).restore() is None and (tmp_path / "1.mdl").read_text() == "what was killed"
    assert mark.restore() == {"done": 11} and (tmp_path / "1.mdl").read_text() == "model 11"
    (mark.places()[0] / "state.json").write_text("{")
    assert mark.restore() is None
    mark.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["1.mdl"]


FAST = {"nj": 2, "num_iters": 4, "max_iter_inc": 2, "realign_iters": [2]}
TREE = {**FAST, "min_leaf_count": 20.0}


def run_here(cmd, jobs, log, command, upto=None):
    """`launcher.run_jobs` in this process: starting Python would take most of the time."""
    _, _, module, *arguments = command
    for job in range(1, (upto or jobs) + 1):
        importlib.import_module(module).main([argument.replace("JOB", str(job)) for argument in arguments])


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    lang, (data, _) = str(make_lang(folder)), make_data(folder, utts=5)
    data = str(data)

    def mono(out):
        train_mono(data, lang, out, MonoOptions(**FAST, totgauss=20))

    def tri1(out):
        train_deltas(20, 40, data, lang, str(folder / "mono"), out, DeltasOptions(**TREE))

    def tri2(out):
        train_lda_mllt(20, 40, data, lang, str(folder / "tri1"), out,
                       LdaMlltOptions(**TREE, norm_vars=True, dim=15, left_context=1, right_context=1, mllt_iters=[2, 3]))

    def tri3(out):
        train_sat(20, 40, data, lang, str(folder / "tri2"), out, SatOptions(**TREE, fmllr_iters=[2, 3], min_count=50.0))

    kinds = {"mono": mono, "tri1": tri1, "tri2": tri2, "tri3": tri3}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "run_jobs", run_here)
        for name, kind in kinds.items():
            kind(str(folder / name))
    return folder, kinds


def files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Killed(BaseException):
    pass


def test_speaker_adaptive_training_has_the_features_of_its_alignments(toy):
    folder, _ = toy
    assert "--norm-vars=true" in (folder / "tri2/cmvn_opts").read_text()
    for name in ("cmvn_opts", "splice_opts", "final.mat"):
        assert (folder / "tri3" / name).read_bytes() == (folder / "tri2" / name).read_bytes()


# Job arrays that are half done when the training is killed: the first alignment, MLLT's or fMLLR's, the realignment, the last of all.
@pytest.mark.parametrize("name, calls", [("mono", [1, 5]), ("tri1", [2, 5]), ("tri2", [5, 7, 10]), ("tri3", [5, 7, 10, 13])])
def test_a_killed_gmm_training_goes_on_and_ends_the_same(toy, name, calls, tmp_path, monkeypatch, capsys):
    folder, kinds = toy
    count = 0

    def killed(cmd, jobs, log, command):
        nonlocal count
        count += 1
        if count in calls:
            run_here(cmd, jobs, log, command, upto=1)  # job 1 has written, job 2 has not
            raise Killed
        run_here(cmd, jobs, log, command)

    monkeypatch.setattr(train, "run_jobs", killed)
    out = tmp_path / name
    for _ in calls:
        with pytest.raises(Killed):
            kinds[name](str(out))
    kinds[name](str(out))
    assert "goes on after iteration" in capsys.readouterr().err
    assert files(out) == files(folder / name)
