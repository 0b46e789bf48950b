"""What tests/smoke.sh's run of local/run_paper.sh must have left: a second seed, its ensembles, the report."""

import csv
import json
import subprocess

import numpy as np
import pytest

from pytorch_nnet.frames.store import FrameStore
from pytorch_nnet.models import load_model

OPTIONS = ("--seeds", "1 2", "--lambdas", "0.75", "--top-cs", "90", "--gammas", "0 0.3 0.5 1")


@pytest.fixture(scope="module")
def exp(recipe):
    if not (recipe / "exp/paper/PAPER.md").exists():
        pytest.skip("needs local/run_paper.sh: run tests/smoke.sh")
    return recipe / "exp"


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file, delimiter="\t"))


def fer(folder):
    return 100 * json.loads((folder / "eval.json").read_text())["fer"]


def test_the_seeds_differ_and_are_averaged(exp):
    first, second = fer(exp / "cnn"), fer(exp / "seed2/cnn")
    assert load_model(exp / "cnn").sha256 != load_model(exp / "seed2/cnn").sha256
    row = next(row for row in rows(exp / "paper/table1.tsv") if row["name"] == "cnn")
    assert row["FER n"] == "2" and float(row["FER mean"]) == pytest.approx((first + second) / 2, abs=0.006)
    assert row["WER n"] == "1", "the second seed has not been decoded"


def test_a_gamma_is_the_mean_of_its_networks(exp):
    """The FER of a swept pair, from the posteriors of its two networks."""
    store, (cnn, other) = FrameStore.open(exp / "frames_dev"), (load_model(exp / name) for name in ("cnn", "seed2/cnn"))
    wrong = sum(int(((0.3 * cnn.posteriors(features) + 0.7 * other.posteriors(features)).argmax(1) != labels).sum())
                for _, features, labels in store.utterances())
    assert fer(exp / "gamma/cnn_cnn_0.3") == pytest.approx(100 * wrong / store.num_frames, abs=0.02)


def test_overlap_agrees_with_the_evaluations(exp):
    found = json.loads((exp / "error_overlap/overlap.json").read_text())
    assert len(found["pairs"]) == 15, "pairs of two CNNs and four LSTMs"
    for pair in found["pairs"]:
        for which in ("first", "second"):
            assert 100 * pair[f"{which}_wrong"] == pytest.approx(fer(exp.parent / pair[which]))


def test_report_and_figures(exp):
    report = (exp / "paper/PAPER.md").read_text()
    assert "n/a" in report and "no wer files" in report and "Figure 7" in report
    for name in ("figure2", "figure3", "figure4", "figure6"):
        assert (exp / f"paper/{name}.png").stat().st_size > 8000
    mass = np.array(json.loads((exp / "posterior_mass/mass.json").read_text())["mass"])
    assert mass.sum() == pytest.approx(1) and (np.diff(mass) <= 1e-9).all()


def test_the_report_has_the_paper_in_it(exp):
    page = (exp / "paper/report.html").read_text()
    assert '<h2 id="paper">' in page and "run_paper.sh 1" in page and page.count("data:image/png") > 4
    assert '<h2 id="paper">' not in (exp / "results/report.html").read_text()


def test_what_is_done_is_skipped(exp):
    done = subprocess.run(["local/run_paper.sh", *OPTIONS, "--stop-stage", "3"], cwd=exp.parent, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("up to date, skipped") == 3, done.stdout + done.stderr
