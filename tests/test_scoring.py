"""WER, scoring rules, the sweep over lattices, tuning, best_wer.sh."""

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.scoring.glm import Glm, apply_rules
from pytorch_nnet.scoring.tune import choose, lowest, read_sweep, tune
from pytorch_nnet.scoring.wer import Counts, count_errors, edits, edits_by_utterance, read_wer, write_wer
from pytorch_nnet.training.records import millions_seen
from toy_lattices import decoded

ROOT = Path(__file__).resolve().parents[1]
words = st.lists(st.sampled_from("abc"), max_size=8)


def by_the_table(reference, hypothesis):
    """(ins, del, sub) by the full dynamic-programming table, with the documented choice among equals."""
    table = {(0, 0): (0, 0, 0)}
    for i in range(len(reference) + 1):
        for j in range(len(hypothesis) + 1):
            if not i and not j:
                continue
            up, left, corner = (table.get(cell) for cell in ((i - 1, j), (i, j - 1), (i - 1, j - 1)))
            deleted = up and (up[0], up[1] + 1, up[2])
            inserted = left and (left[0] + 1, left[1], left[2])
            matched = corner and (corner[0], corner[1], corner[2] + (reference[i - 1] != hypothesis[j - 1]))
            total = lambda cell: sum(cell) if cell else 99  # noqa: E731
            if total(matched) < min(total(inserted), total(deleted)):
                table[i, j] = matched
            else:
                table[i, j] = deleted if total(deleted) < total(inserted) else inserted
    return table[len(reference), len(hypothesis)]


@settings(max_examples=300, deadline=None)
@given(words, words)
def test_edits_equal_the_full_table(reference, hypothesis):
    assert edits(reference, hypothesis) == by_the_table(reference, hypothesis)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["keep", "drop", "change"]), min_size=1, max_size=40), st.data())
def test_planted_errors_are_counted_exactly(plan, data):
    """Every word of the reference is different and so is every planted one, so only one alignment is best."""
    reference = [f"w{i}" for i in range(len(plan))]
    hypothesis, added = [], 0
    for word, what in zip(reference, plan):
        hypothesis += [word] if what == "keep" else [f"x{word}"] if what == "change" else []
    if "drop" not in plan and "change" not in plan:
        added = data.draw(st.integers(0, 5))
        for number in range(added):
            hypothesis.insert(data.draw(st.integers(0, len(hypothesis))), f"new{number}")
    ins, dels, sub = edits(reference, hypothesis)
    assert ins + dels + sub == added + plan.count("drop") + plan.count("change")
    assert ins - dels == added - plan.count("drop")


def test_known_errors():
    references = {"u1": "the day after we went".split(), "u2": "yes".split(), "u3": "oh well".split(),
                  "u4": "never mind it".split()}
    hypotheses = {"u1": "the day we want to".split(), "u2": ["yes"], "u3": []}
    counts = count_errors(references, edits_by_utterance(references, hypotheses), {"u4"})
    assert counts == Counts(words=11, ins=1, dels=6, sub=1, sentences=4, wrong=3, failed=1)
    assert counts.report() == "%WER 72.73 [ 8 / 11, 1 ins, 6 del, 1 sub ]"
    with pytest.raises(RecipeError, match="no reference words"):
        count_errors({"u": []}, edits_by_utterance({"u": []}, {"u": ["a"]}))


def test_wer_file(tmp_path):
    counts = Counts(words=770, ins=10, dels=20, sub=65, sentences=130, wrong=65, failed=1)
    write_wer(tmp_path / "wer_7_0.5", counts, "compute-wer", {"u9": "no path reached a final state"})
    assert (tmp_path / "wer_7_0.5").read_text() == (
        "compute-wer\n%WER 12.34 [ 95 / 770, 10 ins, 20 del, 65 sub ]\n%SER 50.00 [ 65 / 130 ]\n"
        "Scored 130 sentences, 1 not present in hyp.\nfailed: u9 no path reached a final state\n")
    assert read_wer(tmp_path / "wer_7_0.5") == counts
    (tmp_path / "wer_8_0.5").write_text((tmp_path / "wer_7_0.5").read_text().replace("10 ins", "11 ins"))
    with pytest.raises(RecipeError, match="contradicts itself"):
        read_wer(tmp_path / "wer_8_0.5")
    (tmp_path / "wer_8_0.5").write_text("%WER 12.34\n")
    with pytest.raises(RecipeError, match="not a wer file"):
        read_wer(tmp_path / "wer_8_0.5")


def test_rules_of_the_recipe_take_no_word_away():
    rules = Glm.read(ROOT / "egs/switchboard/conf/scoring_rules.txt")
    assert apply_rules("the day [laughter] uh uh after we went <unk>".split(), rules) == "the day after we went".split()
    assert apply_rules(["x", "y"], None) == ["x", "y"] and apply_rules(["uh"], rules) == []


# --- tuning

def sweep_folder(path, rates):
    """A decoding directory with errors in 1000 words for each (LMWT, WIP)."""
    for (lmwt, wip), errors in rates.items():
        write_wer(path / f"wer_{lmwt}_{wip}", Counts(1000, 0, 0, errors, 10, min(errors, 10), 0), "x", {})
    return path


def test_tuning_takes_the_pair_of_dev(tmp_path):
    dev = sweep_folder(tmp_path / "dev", {(7, 0.0): 140, (8, 0.0): 100, (9, 0.0): 140})
    test = sweep_folder(tmp_path / "test", {(7, 0.0): 150, (8, 0.0): 200, (9, 0.0): 300})
    tuned = tune(dev, test)
    assert (tuned.pair, tuned.dev.errors, tuned.test.errors) == ((8, 0.0), 100, 200)
    assert (tuned.oracle_pair, tuned.oracle.errors, tuned.at_edge) == ((7, 0.0), 150, False)


def test_a_minimum_that_stands_alone_is_not_chosen(tmp_path):
    """Five errors fewer at LM weight 5 than anywhere, but many more beside it; nobody's neighbours are those of another penalty."""
    errors = [63, 58, 50, 57, 56, 56, 55, 55, 55, 55, 56, 56]
    sweep = read_sweep(sweep_folder(tmp_path / "a", {**{(3 + place, 0.5): count for place, count in enumerate(errors)},
                                                     **{(3 + place, 1.0): 90 for place in range(12)}}))
    assert lowest(sweep) == (5, 0.5) and choose(sweep) == (10, 0.5)
    assert tune(tmp_path / "a", tmp_path / "a").oracle.errors == 50


@settings(max_examples=6, deadline=None)
@given(st.permutations(range(100, 104)))
def test_tuning_never_looks_at_test(tmp_path_factory, errors):
    folder = tmp_path_factory.mktemp("tune")
    grid = [(lmwt, wip) for lmwt in (9, 10) for wip in (0.0, 0.5)]
    dev = sweep_folder(folder / "dev", {pair: 50 + 10 * (pair != (10, 0.5)) for pair in grid})
    tuned = tune(dev, sweep_folder(folder / "test", dict(zip(grid, errors))))
    assert tuned.pair == (10, 0.5) and tuned.test.errors == errors[grid.index((10, 0.5))] and tuned.oracle.errors == 100


def test_ties_and_edges(tmp_path):
    sweep = read_sweep(sweep_folder(tmp_path / "a", {(lmwt, wip): 100 for lmwt in (10, 9, 17) for wip in (1.0, 0.5)}))
    assert choose(sweep) == (9, 0.5)
    assert tune(tmp_path / "a", tmp_path / "a").at_edge
    other = sweep_folder(tmp_path / "b", {(5, 0.0): 100})
    with pytest.raises(RecipeError, match="not scored on test"):
        tune(tmp_path / "a", other)
    with pytest.raises(RecipeError, match="without scores"):
        read_sweep(tmp_path)


# --- utils/best_wer.sh

def test_pooled_scores_are_sums(tmp_path, run):
    """As in a cross-validation: neither part has its minimum where both together have theirs."""
    first = sweep_folder(tmp_path / "a", {(8, 0.0): 100, (9, 0.0): 101, (10, 0.0): 140})
    second = sweep_folder(tmp_path / "b", {(8, 0.0): 140, (9, 0.0): 101, (10, 0.0): 100})
    done = run("steps/pool_scores", tmp_path / "both", first, second)
    assert done.returncode == 0 and "3 LM weights and penalties, 2 decodings" in done.stdout
    pooled = read_sweep(tmp_path / "both")
    assert {pair: (counts.errors, counts.words, counts.sentences, counts.wrong) for pair, counts in pooled.items()} == {
        (8, 0.0): (240, 2000, 20, 20), (9, 0.0): (202, 2000, 20, 20), (10, 0.0): (240, 2000, 20, 20)}
    assert tune(tmp_path / "both", first).pair == lowest(pooled) == (9, 0.0)
    assert (tmp_path / "both/wer_9_0.0").read_text().startswith(f"# sum of {first} {second}\n")
    other = sweep_folder(tmp_path / "c", {(8, 0.0): 140, (9, 0.0): 101})
    failed = run("steps/pool_scores", tmp_path / "both", first, other)
    assert failed.returncode != 0 and "LMWT 10, WIP 0" in failed.stderr and read_sweep(tmp_path / "both") == pooled


def best_wer(text):
    return subprocess.run([ROOT / "utils/best_wer.sh"], input=text, capture_output=True, text=True)


def test_best_wer_of_kaldi_lines(tmp_path):
    sweep_folder(tmp_path / "exp/tri1/decode_dev", {(7, 0.0): 120, (9, 0.5): 99, (10, 0.0): 99, (11, 0.0): 1000})
    files = sorted(tmp_path.glob("exp/*/decode*/wer_*"), key=lambda path: path.name != "wer_9_0.5")
    grep = subprocess.run(["grep", "WER", *(path.relative_to(tmp_path) for path in files)], cwd=tmp_path,
                          capture_output=True, text=True)
    done = best_wer(grep.stdout)
    assert done.stdout == "%WER 9.90 [ 99 / 1000, 0 ins, 0 del, 99 sub ] exp/tri1/decode_dev/wer_9_0.5\n"
    line = "%WER 5.00 [ 1 / 20, 0 ins, 0 del, 1 sub ]\n"
    assert best_wer(line).stdout == line


def test_best_wer_of_sclite_lines():
    line = "exp/a/score_{}/x.ctm.filt.sys:|      Sum/Avg | 1831  21395 | {}    6.7    2.9    1.9   {}   47.7 |\n"
    done = best_wer(line.format(9, 90.4, "11.5") + line.format(10, 90.6, "9.8") + line.format(11, 90.1, "10.2"))
    assert done.stdout == "%WER 9.8 [ 21395 words, 1.9 % ins, 2.9 % del, 6.7 % sub ] exp/a/score_10/x.ctm.filt.sys\n"


def test_best_wer_of_nothing():
    assert best_wer("").returncode == 1 and best_wer("nothing here\n%WER nan [ 0 / 0 ]\n").returncode == 1


# --- steps/score

TEXT = {"u1": "a b c", "u2": "a <unk>", "u3": "b b"}
# u1 is right under a low LM weight only: a b c costs 20 / LMWT + 4, a c costs 30 / LMWT + 2; they meet at LMWT 5.
PATHS = {"u1": [("a b c", -20.0, -4.0), ("a c", -30.0, -2.0)], "u2": [("a", -1.0, -1.0)]}


@pytest.mark.slow
def test_score_step(run, tmp_path):
    decoded(tmp_path, TEXT, [{"u1": PATHS["u1"]}, {"u2": PATHS["u2"]}], failed=["u3 no path within the beam"])
    (tmp_path / "rules").write_text(";; a GLM\n<unk> => / [ ] __ [ ]\n")
    call = ["steps/score", "--min-lmwt", 4, "--max-lmwt", 6, "--word-ins-penalty", "0.0,1.5", "--rules", "rules", "data", "graph",
            "decode"]
    done = run(*call)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "%WER 33.33 [ 2 / 6, 0 ins, 2 del, 0 sub ] decode/wer_4_0.0\n"
    assert "1 utterances have no hypothesis" in done.stderr and "u3 (no path within the beam)" in done.stderr
    assert sorted(path.name for path in (tmp_path / "decode").glob("wer_*")) == [
        f"wer_{lmwt}_{wip}" for lmwt in (4, 5, 6) for wip in ("0.0", "1.5")]
    assert (tmp_path / "decode/wer_6_0.0").read_text().splitlines()[1:] == [
        "%WER 50.00 [ 3 / 6, 0 ins, 3 del, 0 sub ]", "%SER 66.67 [ 2 / 3 ]",
        "Scored 3 sentences, 1 not present in hyp.",
        "failed: u3 no path within the beam"]
    assert (tmp_path / "decode/scoring/4.0.0.txt").read_text() == "u1 a b c\nu2 a\n"
    assert (tmp_path / "decode/scoring/4.0.0.counts").read_text() == "u1 u1 3 0\nu2 u2 1 0\nu3 u3 2 2\n"
    assert (tmp_path / "decode/scoring/4.1.5.txt").read_text() == "u1 a c\nu2 a\n"  # 1.5 more for "b"

    def outputs():
        return {path.name: path.read_bytes() for path in (tmp_path / "decode").rglob("*") if path.suffix != ".log"
                and path.is_file()}

    before = outputs()
    assert run(*call, "--nj", 2).returncode == 0 and outputs() == before
    assert run("steps/score", "--min-lmwt", 7, "--max-lmwt", 7, "data", "graph", "decode").returncode == 0
    assert sorted(path.name for path in (tmp_path / "decode").glob("wer_*")) == ["wer_7_0.0", "wer_7_0.5", "wer_7_1.0"]
    assert "[ 4 / 7," in (tmp_path / "decode/wer_7_0.0").read_text()  # without rules <unk> is a word


@pytest.mark.slow
@pytest.mark.parametrize("jobs, failed, message, utt", [
    ([PATHS], (), "neither decoded nor listed", "u3"),
    ([{**PATHS, "u3": PATHS["u2"], "u4": PATHS["u2"]}], (), "without a reference", "u4"),
    ([{**PATHS, "u3": PATHS["u2"]}], ["u3 lost"], "decoded and listed as failed", "u3"),
    ([PATHS], ["u3 lost", "u5 lost"], "without a reference", "u5"),
])
def test_every_utterance_is_accounted_for(run, tmp_path, jobs, failed, message, utt):
    decoded(tmp_path, TEXT, jobs, failed)
    done = run("steps/score", "data", "graph", "decode")
    assert done.returncode == 1 and message in done.stderr and f"id:       {utt}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "decode").glob("wer_*"))


def test_silence_hypothesis_is_a_hypothesis(run, tmp_path):
    decoded(tmp_path, {"u1": "a b"}, [{"u1": [("", -1.0, -1.0)]}])
    assert run("steps/score", "data", "graph", "decode").returncode == 0
    assert "Scored 1 sentences, 0 not present in hyp." in (tmp_path / "decode/wer_5_0.0").read_text()
    assert (tmp_path / "decode/scoring/5.0.0.txt").read_text() == "u1\n"


def test_damaged_lattices(run, tmp_path):
    decoded(tmp_path, TEXT, [PATHS], ["u3 lost"])
    (tmp_path / "decode/lat.1.npz").write_bytes(b"no zip")
    done = run("steps/score", "data", "graph", "decode")
    assert done.returncode == 1 and "not a lattice archive" in done.stderr and "Traceback" not in done.stderr
    (tmp_path / "decode/num_jobs").unlink()
    assert "steps/decode" in run("steps/score", "data", "graph", "decode").stderr


# --- tables

def system_folder(exp, name, *, dev=None, test=None, fer=None, parameters=None):
    (exp / name).mkdir(parents=True)
    if fer is not None:
        (exp / name / "eval.json").write_text(json.dumps({"frames": 10, "fer": fer, "cross_entropy": 1.0}))
    if parameters:
        (exp / name / "info.json").write_text(json.dumps({"parameters": parameters}))
    for label, rates in (("decode_dev", dev), ("decode_test", test)):
        if rates:
            sweep_folder(exp / name / label, rates)


@pytest.fixture
def exp(tmp_path):
    exp = tmp_path / "exp"
    system_folder(exp, "cnn", fer=0.3551, parameters=76_770_000, dev={(9, 0.0): 150, (10, 0.0): 141, (11, 0.0): 150},
                  test={(9, 0.0): 160, (10, 0.0): 180, (11, 0.0): 150})
    system_folder(exp, "lstm1", fer=0.3427, parameters=30_350, dev={(9, 0.0): 141, (10, 0.0): 150},
                  test={(9, 0.0): 160, (10, 0.0): 180})
    system_folder(exp, "student_l0.75_c90", fer=0.34, parameters=5, dev={(9, 0.0): 141})
    system_folder(exp, "ens")
    (exp / "ens/ensemble.yaml").write_text("members: [cnn, lstm1]\nweights: [0.5, 0.5]\n")
    (exp / "cnn/train.jsonl").write_text("".join(json.dumps(
        {"epoch": n, "frames": 1e5, "lr": 0.1, "train_loss": 2 / n, "valid_loss": 2.1 / n,
         "valid_fer": 0.9 / n, "seconds": 1.0, "event": "best"}) + "\n" for n in (1, 2, 3)))
    (exp / "soft_ens").mkdir()
    (exp / "soft_ens/meta.json").write_text(json.dumps({"coverage": [{"C": 1, "mass": 0.7, "classes": 1.0},
                                                                     {"C": 3, "mass": 0.9, "classes": 2.5}]}))
    (exp / "timing").mkdir()
    (exp / "timing/timing.json").write_text(json.dumps({"seconds_per_frame": {"exp/cnn": 0.002, "exp/lstm1": 0.0066}}))
    return exp


@pytest.mark.slow
def test_tables_of_a_fixture(run, exp, tmp_path):
    done = run("steps/make_tables", "--timing", "exp/timing", "exp", "exp/results", "cnn", "lstm1=Small LSTM",
               "student_l0.75_c90", "ens")
    assert done.returncode == 0, done.stderr
    header, *rows = [line.split("\t") for line in (exp / "results/table1.tsv").read_text().splitlines()]
    table = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert list(table) == ["cnn", "lstm1", "student_l0.75_c90", "ens"]
    cnn, lstm, student, ens = table.values()
    assert cnn == {"name": "cnn", "system": "vision-style CNN", "parameters": "76.8M", "FER %": "35.51",
                   "dev WER %": "14.10", "test WER %": "18.00", "95 % interval": "n/a", "ins": "0", "del": "0", "sub": "180",
                   "words": "1000", "failed": "0", "LMWT": "10", "WIP": "0",
                   "oracle test WER %": "15.00", "run time": "x1.00"}
    assert (lstm["system"], lstm["parameters"], lstm["run time"], lstm["test WER %"]) == (
        "Small LSTM", "30.4K", "x3.30", "16.00")
    assert (student["test WER %"], student["dev WER %"], student["run time"], ens["FER %"]) == ("n/a",) * 4
    assert ens["parameters"] == "76.8M"
    text = (exp / "results/RESULTS.md").read_text()
    notes = text.splitlines()
    assert "- WER: no wer files in decode_test: CNN taught by LSTMs, lambda 0.75, C = 90" in notes
    assert "- WER: no wer files in decode_dev and decode_test: ens" in notes and "- FER: no eval.json: ens" in notes
    assert "- interval: scored without counts by utterance (score again: steps/score): vision-style CNN; Small LSTM" in notes
    assert "- run time: not timed: CNN taught by LSTMs, lambda 0.75, C = 90; ens" in notes
    assert "- the LM weight chosen, 9, is at the edge of the sweep; widen it: Small LSTM" in notes
    assert "| vision-style CNN | 35.51 | 18.00 | vision-style CNN (mean of 3) | 35.51 | 14.10 | 75M | x1 |" in text
    assert "| soft_ens | 3 | 90.00 | 2.50 | 91.19 | 2.89 |" in text
    for name in ("learning_curves.png", "fer_wer.png"):
        assert name in text and (exp / "results" / name).read_bytes().startswith(b"\x89PNG")


def test_parameters_of_a_gmm(tmp_path, monkeypatch):
    import sys
    import types

    from pytorch_nnet.scoring.results import count_parameters

    (tmp_path / "final.mdl").touch()
    gmm = types.SimpleNamespace(num_gauss=100, dim=39)
    loader = types.SimpleNamespace(load=lambda folder: types.SimpleNamespace(gmm=gmm))
    fake = types.SimpleNamespace(AcousticModel=loader)
    monkeypatch.setitem(sys.modules, "pytorch_nnet.hmm.model", fake)
    assert count_parameters(tmp_path, []) == 7900


@pytest.mark.slow
def test_tables_refuse(run, exp):
    assert "no such system" in run("steps/make_tables", "exp", "exp/results", "cnn", "missing").stderr
    assert "baseline" in run("steps/make_tables", "exp", "exp/results", "lstm1").stderr
    (exp / "cnn/eval.json").write_text("{")
    done = run("steps/make_tables", "exp", "exp/results", "cnn")
    assert done.returncode == 1 and "not JSON" in done.stderr and "Traceback" not in done.stderr


def test_learning_curves_count_all_epochs_before():
    assert millions_seen([{"frames": 2e6}, {"frames": 1e6}, {"frames": 1e6}]) == [2, 3, 4]
