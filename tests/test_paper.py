"""The paper's experiments: the shell's plan, error overlap, mass, multiplications, tables, claims, figures."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_nnet.frames.store import DIM, FrameStore, write_frame_store
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.models.architecture import Architecture
from pytorch_nnet.models.model_dir import load_model, save_model
from pytorch_nnet.models.operations import multiplications
from pytorch_nnet.models.registry import build_network
from pytorch_nnet.scoring.paper_claims import judge
from pytorch_nnet.scoring.paper_mass import classes_for, mass_by_rank
from pytorch_nnet.scoring.paper_overlap import compare_errors, overlap
from pytorch_nnet.scoring.paper_report import ROWS, Sources, overlap_table, table1, write_report
from pytorch_nnet.scoring.paper_results import Gap, Plan, Results, Spread, told
from pytorch_nnet.scoring.wer import Counts, write_wer

ROOT = Path(__file__).resolve().parents[1]
CLASSES = 6
CMVN = {"norm_means": True, "norm_vars": True}


# --- what can be counted by hand

def test_multiplications_by_hand():
    """Sizes of the maps as in models.vision and models.sainath: 41-39-37-18-9-4 by 31-29-27-13-6-3."""
    vision = build_network(Architecture(arch="vision", channels=[2, 3, 4], hidden=[5, 6]), 7)
    expected = (39 * 29 * 2 * 9 + 37 * 27 * 2 * 18 + 18 * 13 * (3 * 18 + 3 * 27 + 3 * 27) + 9 * 6 * (4 * 27 + 4 * 36 + 4 * 36)
                + 4 * 4 * 3 * 5 + 5 * 6 + 6 * 7)
    assert multiplications(vision, DIM) == expected
    sainath = build_network(Architecture(arch="sainath", channels=[2, 3], hidden=[4, 4, 4, 4]), 7)
    assert multiplications(sainath, DIM) == 35 * 25 * 2 * 49 + 29 * 2 * 3 * 98 + 29 * 2 * 3 * 4 + 3 * 16 + 28
    blstm = build_network(Architecture(arch="blstm", hidden=[3, 4]), 7)
    first = 41 * 2 * (4 * 3 * (31 + 3) + 6 * 3)
    last = 21 * 2 * (4 * 4 * (6 + 4) + 6 * 4)  # either direction ends at the middle frame
    assert multiplications(blstm, DIM) == first + last + 8 * 7


def test_overlap_of_four_frames_by_hand():
    labels = np.array([0, 0, 0, 0])
    found = overlap(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), labels)
    assert found["first_wrong"] == 0.75 and found["second_wrong"] == 0.5
    assert found["both_wrong"] == 0.5 and found["same_wrong"] == 0.25 and found["same_share"] == 0.5
    # They agree on being right or wrong in 3 of 4 frames; by chance in 0.75 * 0.5 + 0.25 * 0.5 = 0.5.
    assert found["kappa"] == pytest.approx(0.5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=40))
def test_overlap_is_symmetric_and_bounded(rows):
    first, second, labels = np.array(rows).T
    one, other = overlap(first, second, labels), overlap(second, first, labels)
    for key in ("both_wrong", "same_wrong", "chance"):
        assert one[key] == other[key]
    assert one["same_wrong"] <= one["both_wrong"] <= min(one["first_wrong"], one["second_wrong"]) + 1e-12
    own = overlap(first, first, labels)
    assert own["both_wrong"] == own["same_wrong"] and (np.isnan(own["kappa"]) or own["kappa"] == pytest.approx(1))


def test_classes_for_a_share():
    assert [classes_for(np.array([0.5, 0.3, 0.15, 0.05]), share) for share in (0.4, 0.5, 0.79, 0.81)] == [1, 1, 2, 3]


# --- an exp folder with everything in it

PLAN = Plan([1, 2, 3], [1], [0.25, 0.5, 1.0], [1, 30, 90], [0.0, 0.25, 0.5, 1.0])


def make_network(folder, arch, hidden, seed):
    torch.manual_seed(seed)
    shape = Architecture(arch=arch, hidden=hidden, channels=[2, 3, 4] if arch == "vision" else None).resolved()
    save_model(folder, build_network(shape, CLASSES), options=shape.__dict__, counts=np.ones(CLASSES),
               info={"num_classes": CLASSES, "dim": DIM, "cmvn": CMVN, "label_map": "tree"})


def make_frames(path, lengths):
    rng = np.random.default_rng(0)

    def utterances():
        for index, frames in enumerate(lengths):
            yield f"utt{index}", rng.standard_normal((frames, DIM)).astype(np.float32), rng.integers(0, CLASSES, frames)

    return write_frame_store(path, utterances(), num_classes=CLASSES, label_map="tree", cmvn=CMVN)


def measured(exp, system, fer, errors):
    """A system's folder with a FER, and 1000 test words with so many errors at the pair that is best on dev."""
    folder = exp / system
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "eval.json").write_text(json.dumps({"frames": 100, "fer": fer / 100, "cross_entropy": 1.0}))
    for name in ("dev", "test"):
        for lmwt, more in ((7, 5), (8, 0), (9, 3)):
            count = errors + more - (20 if name == "test" and lmwt == 9 else 0)  # test alone would choose 9
            write_wer(folder / f"decode_{name}_tg" / f"wer_{lmwt}_0.0", Counts(1000, 0, 0, count, 10, 9, 0), "x", {})


def planned(plan):
    """Every system of the tables and figures."""
    rows = [plan.system(name, seed) for name in ROWS for seed in plan.seeds_of(name)]
    grid = [plan.system(plan.student(weight, c), seed) for seed in plan.grid_seeds for c in plan.top_cs for weight in plan.lambdas]
    sweep = [plan.at_gamma(pair, gamma) for pair in plan.pairs() for gamma in plan.gammas]
    across = [plan.system("ens_2cnn", seed) for seed in plan.seeds_of("ens_2cnn")]
    return set(rows + grid + sweep + across)


# (FER, errors) that the paper would have liked; by the last part of the name
LIKED = {"cnn": (35, 141), "sainath": (38, 155), "lstm1": (34, 148), "lstm2": (34, 148), "ens_lstm_cnn": (32, 134), "ens_2lstm": (33, 136),
         "ens_2cnn": (34, 140), "self": (34.6, 140), "student_l0.75_c90": (34, 138)}
GRID = {1: 3, 30: 0, 90: 0}  # what a C costs, in percent


def liked(system):
    name = system.rpartition("/")[2]
    if name.startswith("student") and name != "student_l0.75_c90":
        weight, c = (float(part) for part in name[len("student_l"):].split("_c"))
        worse = GRID[int(c)] + 2 * abs(weight - 0.5) - (2.5 if c == 1 and weight == 0.5 else 0)
        return 34 + worse, round(132 + 10 * worse)
    return LIKED.get(name, (33, 139))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    exp = tmp_path_factory.mktemp("recipe") / "exp"
    for system in planned(PLAN):
        fer, errors = liked(system)
        shift = 0.1 * ("seed2" in system) - 0.1 * ("seed3" in system)
        measured(exp, system, fer + shift, errors + round(10 * shift))
    for name, arch, hidden in (("cnn", "vision", [4, 4]), ("seed2/cnn", "vision", [4, 4]), ("lstm1", "blstm", [2, 2]), ("lstm2", "blstm", [3, 3])):
        make_network(exp / name, arch, hidden, seed=len(name))
    make_frames(exp / "frames_train", [30, 80, 45])
    store = make_frames(exp / "frames_dev", [60, 25])
    models = [load_model(exp / name) for name in ("cnn", "seed2/cnn", "lstm1", "lstm2")]
    for name, value in (("error_overlap/overlap.json", compare_errors(models, store)), ("posterior_mass/mass.json", mass_by_rank(
            models[2], FrameStore.open(exp / "frames_train"), 50)), ("timing/timing.json", {"seconds_per_frame": {"exp/cnn": 2e-5, "exp/lstm1": 6e-5}})):
        (exp / name).parent.mkdir()
        (exp / name).write_text(json.dumps(value))
    (exp / "soft_ens_2lstm").mkdir()
    (exp / "soft_ens_2lstm/meta.json").write_text(json.dumps({"coverage": [{"C": 1, "mass": 0.7, "classes": 1.0}, {"C": 90, "mass": 0.991, "classes": 20.5}]}))
    return exp


def results(exp, plan=PLAN):
    return Results(exp, plan, dev="dev", test="test", lm="tg")


def outcomes(exp, plan=PLAN):
    return [claim.outcome for claim in judge(results(exp, plan))]


def copy(full, tmp_path):
    shutil.copytree(full, tmp_path / "exp")
    return tmp_path / "exp"


def test_error_overlap_and_mass_of_networks(full):
    found = json.loads((full / "error_overlap/overlap.json").read_text())
    assert sorted(pair["kinds"] for pair in found["pairs"]) == ["CNN-CNN"] + ["CNN-LSTM"] * 4 + ["LSTM-LSTM"]
    store, first = FrameStore.open(full / "frames_dev"), load_model(full / "cnn")
    wrong = np.mean([first.posteriors(features).argmax(1) != labels for _, features, labels in store.utterances() if len(labels) == 60])
    assert found["frames"] == 85 and abs(found["pairs"][0]["first_wrong"] * 85 - round(wrong * 60)) <= 25
    mass = json.loads((full / "posterior_mass/mass.json").read_text())
    assert mass["frames"] in (30, 80, 45) and sum(mass["mass"]) == pytest.approx(1) and mass["mass"] == sorted(mass["mass"], reverse=True)
    with pytest.raises(RecipeError, match="the same"):
        compare_errors([first, load_model(full / "cnn")], store)


def test_liked_figures_hold_every_claim(full):
    assert outcomes(full) == ["held"] * 5


@pytest.mark.parametrize("index, systems, value", [
    (0, ["ens_lstm_cnn", "seed2/ens_lstm_cnn", "seed3/ens_lstm_cnn"], (33.5, 137)),  # two LSTMs beat LSTM + CNN
    (1, ["student_l0.75_c90", "seed2/student_l0.75_c90", "seed3/student_l0.75_c90"], (36, 145)),
    (2, ["student_l1_c90"], (30, 120)),  # the best lambda is 1
    (3, ["student_l0.25_c30", "student_l0.5_c30", "student_l1_c30"], (37, 165)),  # 30 are as bad as 1
    (3, ["student_l0.25_c1", "student_l0.5_c1", "student_l1_c1"], (34.5, 137)),  # 1 is as good as 30
    (4, ["self", "seed2/self", "seed3/self"], (33, 130))])
def test_a_claim_falls_with_its_figures(full, tmp_path, index, systems, value):
    exp = copy(full, tmp_path)
    for system in systems:
        measured(exp, system, *value)
    assert outcomes(exp)[index] == "not held"


def test_a_claim_may_hold_in_one_metric(full, tmp_path):
    exp = copy(full, tmp_path)
    for seed in ("", "seed2/", "seed3/"):
        measured(exp, f"{seed}self", 36, 130)
    claim = judge(results(exp))[4]
    assert claim.outcome == "held in FER only" and "36.00" in claim.verdicts[0].figures and "13.00" in claim.verdicts[1].figures


def test_what_is_missing_is_named(full, tmp_path):
    exp = copy(full, tmp_path)
    shutil.rmtree(exp / "student_l0.5_c1")
    shutil.rmtree(exp / "seed2/self/decode_test_tg")
    found = judge(results(exp))
    assert found[2].outcome == found[3].outcome == "n/a" and "not made: student_l0.5_c1" in found[2].verdicts[0].figures
    assert found[4].outcome == "held" and "not all seeds" in found[4].verdicts[1].figures
    assert "no wer files in decode_test_tg: WER of seed2/self" in told(table1(results(exp))[2])
    assert outcomes(full, Plan([1], [1], PLAN.lambdas, PLAN.top_cs, PLAN.gammas))[0] == "n/a", "two CNNs need two seeds"


def test_spread_over_seeds_and_tuning(full):
    found = results(full)
    assert found.spread("cnn", "fer").text() == "35.00 (34.90 to 35.10)" and found.spread("cnn", "fer").deviation == pytest.approx(0.1)
    assert found.get("cnn").wer == pytest.approx(14.1), "LM weight 8 is dev's best, though 9 is the test set's"
    assert Spread([]).text() == "n/a" and Spread([1.0]).text() == "1.00"
    assert found.spread("ens_3cnn", "wer").n == 1


def test_the_switchboard_part_counts_where_there_is_one(full, tmp_path):
    exp = copy(full, tmp_path)
    write_wer(exp / "cnn/decode_test_tg/scoring_builtin/swbd/wer_8_0.0", Counts(500, 0, 0, 60, 5, 5, 0), "x", {})
    found = results(exp)
    assert (found.get("cnn").wer, found.get("cnn").scorer) == (12.0, "builtin")
    found.get("lstm1"), found.get("lstm2")
    assert "not scored by basic" in found.doubts()[0] and "cnn (builtin)" in found.doubts()[0]


def test_gaps_are_told_by_reason():
    assert told([Gap("a", "fer", "x"), Gap("a", "wer", "x"), Gap("b", "wer", "x")]) == ["x: a, WER of b"]


@pytest.mark.slow
def test_report_and_figures(full, tmp_path):
    out = tmp_path / "paper"
    write_report(out, Sources(full, tmp_path, "dev", "test"), results(full))
    report = (out / "PAPER.md").read_text()
    for number in range(2, 8):
        picture = out / f"figure{number}.png"
        assert picture.read_bytes()[:4] == b"\x89PNG" and picture.stat().st_size > 8000 and f"({picture.name})" in report
    assert "| vision-style CNN |" in report and "35.00 (34.90 to 35.10)" in report and "| 35.51 | 14.10 | 75M |" in report
    assert report.count("**held**") >= 5 and "x3.00" in report, "an LSTM takes three times the CNN's time here"
    lines = (out / "figures4_5.tsv").read_text().splitlines()
    assert "LSTM + CNN\t0.25\tgamma/lstm_cnn_0.25\t33.00\t13.90\tn/a\tn/a" in lines and "LSTM + CNN\t0\tcnn\t35.00\t14.10\t35.51\t14.10" in lines
    lines = (out / "figure2_coverage.tsv").read_text().splitlines()
    assert len(lines) == 1 + CLASSES and lines[-1] == f"{CLASSES}\t1.000000\t1.000000"
    again = tmp_path / "again"
    write_report(again, Sources(full, tmp_path, "dev", "test"), results(full))
    assert all((again / path.name).read_bytes() == path.read_bytes() for path in out.iterdir()), "equal input, equal bytes"


def test_an_empty_exp_gives_a_report_of_gaps(tmp_path):
    (tmp_path / "exp").mkdir()
    write_report(tmp_path / "out", Sources(tmp_path / "exp", tmp_path, "dev", "test"), results(tmp_path / "exp"))
    report = (tmp_path / "out/PAPER.md").read_text()
    assert report.count("**n/a**") == 5 and "n/a: no system of it has been made" in report
    assert not list((tmp_path / "out").glob("*.png"))


def test_overlap_sentence():
    def pairs(unlike):
        return [{"kinds": kinds, "first_wrong": 0.4, "second_wrong": 0.4, "both_wrong": 0.3, "chance": 0.16, "same_wrong": 0.2,
                 "same_share": 0.67, "kappa": kappa} for kinds, kappa in (("CNN-LSTM", unlike), ("CNN-CNN", 0.6), ("LSTM-LSTM", 0.7))]

    assert "**held**" in overlap_table(pairs(0.5))[1] and "**not held**" in overlap_table(pairs(0.65))[1]
    assert overlap_table(pairs(0.5)[:2])[1] == "n/a: no LSTM-LSTM pair"


# --- the shell's plan

@pytest.fixture
def recipe(tmp_path):
    """A recipe folder that run.sh seems to have finished, in which once.py only notes what it is asked for."""
    for name in ("local", "utils", "conf/mini", "exp", "data/eval2000_fbank"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "path.sh").write_text(f"ROOT={ROOT}\n")
    (tmp_path / "cmd.sh").write_text("train_cmd=run decode_cmd=run cuda_cmd=run\n")
    (tmp_path / "conf/mini/sizes.sh").write_text("acwt=0.1 beam=9 lattice_beam=3 max_active=1500\n")
    for name in ("utils/stages.sh", "utils/parse_options.sh", "utils/run_lock.py", "local/run_paper.sh", "steps"):
        (tmp_path / name).symlink_to(ROOT / name)
    # Makes the folders, and PAPER.md, which the script shows at the end.
    (tmp_path / "utils/once.py").write_text(
        '#!/bin/bash\necho "$STAGE_NUMBER $*" >> commands\nwhile [ "$1" != -- ]; do\n'
        '  if [ "$1" = --out ]; then mkdir -p "$2"; touch "$2/.done" "$2/PAPER.md"; fi; shift; done\n')
    (tmp_path / "utils/once.py").chmod(0o755)
    (tmp_path / "conf/mini/cnn.yaml").touch()
    for name in ("frames_train", "frames_dev", "cnn", "sainath", "lstm1", "lstm2", "ens_lstm_cnn", "ens_2lstm", "ens_2lstm_cnn", "self",
                 "soft_ens_2lstm", "soft_cnn", "dnn", "results", "cnn/decode_dev_tg", "cnn/decode_eval2000_tg"):
        (tmp_path / "exp" / name).mkdir()
        (tmp_path / "exp" / name / ".done").write_text('{"command": [\n  "conf/mini/cnn.yaml"\n]}\n')
    (tmp_path / "exp/cnn/config.yaml").write_text("arch: vision\nseed: 1\n")
    tables(tmp_path, "cnn")
    return tmp_path


def tables(recipe, *systems):
    """What run.sh leaves with its tables of some systems: the command that made them."""
    command = ["steps/make_tables", "--dev", "dev", "--test", "eval2000", "--lm", "tg", "exp", "exp/results", *systems]
    (recipe / "exp/results/.done").write_text(json.dumps({"command": command}, indent=1))


def run_paper(recipe, *arguments):
    """(CompletedProcess, the commands in order, each stripped of what comes before its --)."""
    done = subprocess.run(["local/run_paper.sh", "--nj", "64", *arguments], cwd=recipe, capture_output=True, text=True,
                          env={**os.environ, "LC_ALL": "C.UTF-8"})
    noted = recipe / "commands"
    return done, noted.read_text().splitlines() if noted.exists() else []


def made(commands, step):
    """Systems whose folder a step is given."""
    return {word.removeprefix("exp/") for line in commands if step in line
            for word in line.split(" -- ")[0].split() if word.startswith("exp/")}


@pytest.mark.slow
def test_the_plan_makes_what_the_tables_read(recipe):
    done, commands = run_paper(recipe, "--lambdas", "0.25 .50 1", "--top-cs", "1 30 90", "--gammas", "0 0.25 0.5 1")
    assert done.returncode == 0, done.stderr
    trained, averaged, evaluated = (made(commands, step) for step in ("train_nnet", "make_ensemble", "eval_nnet"))
    own = {"cnn", "sainath", "lstm1", "lstm2", "self", "ens_lstm_cnn", "ens_2lstm", "ens_2lstm_cnn"}
    assert planned(PLAN) <= trained | averaged | own and not own & (trained | averaged), "nothing of run.sh's is made again"
    assert averaged == evaluated
    for name in ("dev", "eval2000"):
        decoded = {path.removesuffix(f"/decode_{name}_tg") for path in made(commands, "steps/decode ") if path.endswith(f"decode_{name}_tg")}
        assert planned(PLAN) - own <= decoded and not own & decoded
    assert any("--seed 2 --soft-labels exp/soft_ens_2lstm --soft-weight 0.75 --top-c 90" in line for line in commands)
    assert any("make_ensemble --weights 0.25,0.75 exp/gamma/lstm_cnn_0.25 exp/lstm1 exp/cnn" in line for line in commands)
    for members in ("exp/seed2/ens_2cnn exp/seed2/cnn exp/seed3/cnn", "exp/seed3/ens_2cnn exp/seed3/cnn exp/cnn"):
        assert any(members in line for line in commands), "a seed's next, and the last one's next, which is the first"
    together = [line.split(" -- ")[1] for line in commands if "steps/decode" in line and "seed2/lstm1" in line]
    assert len(together) == 2 and "exp/seed2/ens_2lstm_cnn/decode_dev_tg" in together[0], "networks that are shared are computed once"
    tables = commands[-1].split(" -- ")[1]
    assert tables == ("steps/paper_tables --seeds 1,2,3 --grid-seeds 1 --lambdas 0.25,0.5,1 --top-cs 1,30,90 --gammas 0,0.25,0.5,1 "
                      "--test eval2000 --lm tg exp exp/paper")
    assert [line[0] for line in commands] == sorted(line[0] for line in commands)


@pytest.mark.slow
def test_one_seed_needs_no_other(recipe):
    done, commands = run_paper(recipe, "--seeds", "1", "--lambdas", "1", "--top-cs", "1", "--gammas", "0 1", "--stop-stage", "4")
    assert done.returncode == 0, done.stderr
    assert made(commands, "train_nnet") == {"student_l0.75_c90", "student_l1_c1"} and not made(commands, "make_ensemble")


def test_a_student_of_run_sh_is_not_trained_again(recipe):
    tables(recipe, "cnn", "student_l0.75_c90")
    done, commands = run_paper(recipe, "--seeds", "1", "--lambdas", "0.75 1", "--top-cs", "90", "--gammas", "0 1", "--force", "true")
    assert done.returncode == 0 and made(commands, "train_nnet") == {"student_l1_c90"}
    assert "student_l0.75_c90" not in " ".join(line for line in commands if "steps/decode" in line)


def test_all_systems_are_scored_alike(recipe):
    (recipe / "data/eval2000").mkdir()
    (recipe / "data/eval2000/stm").write_text("x\n")
    done, commands = run_paper(recipe, "--seeds", "1", "--lambdas", "1", "--top-cs", "90", "--gammas", "0 0.3 1", "--stage", "4", "--stop-stage", "4")
    assert done.returncode == 0
    decoded, scored = ({path.removesuffix("/decode_eval2000_tg") for path in made(commands, step) if path.endswith("decode_eval2000_tg")}
                       for step in ("steps/decode ", "local/score.sh"))
    assert "gamma/lstm_cnn_0.3" in decoded
    assert scored == decoded | {"cnn", "sainath", "lstm1", "lstm2", "self", "ens_lstm_cnn", "ens_2lstm", "ens_2lstm_cnn"}


def test_grid_with_every_seed(recipe):
    done, commands = run_paper(recipe, "--grid-seeds", "1 2", "--lambdas", "1", "--top-cs", "3", "--stage", "2", "--stop-stage", "2")
    assert done.returncode == 0 and made(commands, "train_nnet") == {"student_l1_c3", "seed2/student_l1_c3"}


@pytest.mark.slow
@pytest.mark.parametrize("arguments, told_of", [
    (["--seeds", "2 3"], "found:    2"), (["--lambdas", "0 1"], "baseline"), (["--gammas", "1.5"], "--gammas takes numbers from 0 to 1"),
    (["--top-cs", "many"], "--top-cs takes"), (["--test-set", "rt03"], "rt03"), (["--preset", "huge"], "huge"), (["--lambda", "1"], "lambda")])
def test_mistakes_are_told_before_anything_runs(recipe, arguments, told_of):
    done, commands = run_paper(recipe, *arguments)
    assert done.returncode != 0 and told_of in done.stderr and not commands


def test_a_recipe_without_tables_asks_for_the_names(recipe):
    (recipe / "exp/results/.done").unlink()
    done, commands = run_paper(recipe)
    assert done.returncode != 0 and "which test set" in done.stderr and not commands
    done, commands = run_paper(recipe, "--test-set", "eval2000", "--lm", "tg", "--seeds", "1", "--lambdas", "1", "--top-cs", "1", "--stop-stage", "2")
    assert done.returncode == 0 and commands, done.stderr


def test_an_unfinished_recipe_is_sent_back(recipe):
    (recipe / "exp/self/.done").unlink()
    done, commands = run_paper(recipe)
    assert done.returncode != 0 and "exp/self/.done is not there" in done.stderr and not commands
