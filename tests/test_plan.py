"""run.sh --dry-run and --status: what they say will run is what runs, they write nothing, and estimates come from the sizes given."""

import re
import statistics
import subprocess
import sys

import pytest

from conftest import ROOT
from test_once import STEPS, calls, stage_2

sys.path.insert(0, str(ROOT / "utils"))
from estimate import Cost, Estimator, network_size, read_config, read_rates
from plan import Planned, stage_hours

PARTS = ("run.sh", "path.sh", "cmd.sh", "conf", "local", "steps", "utils")


@pytest.fixture
def recipe(tmp_path):
    """A recipe's folder in a tree of its own, which has no utils/setup_env.sh: calling it would fail."""

    def make(name):
        folder = tmp_path / "tree/egs" / name
        folder.mkdir(parents=True)
        for part in PARTS:
            (folder / part).symlink_to(ROOT / "egs" / name / part)
        return folder

    return make


def files(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def states(run, tmp_path, versions, force=()):
    """States of STEPS by utils/plan.py --status, as letters."""
    records = b"".join("\0".join(["2", "features", "0", str(len(call)), *call, ""]).encode() for call in calls(versions, force))
    path = str(ROOT / "utils/plan.py")
    done = subprocess.run([sys.executable, path, "--nj", "1", "--status"], input=records, cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^  (done|stale|begun|missing) ", done.stdout.decode(), re.MULTILINE)
    return "".join(word[0] for word in found) or "d" * len(STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("changed", [0, 3, 5])
def test_says_what_a_run_then_does(run, tmp_path, changed):
    stage_2(run, tmp_path, {})
    assert states(run, tmp_path, {}) == "dddddddd"
    before = files(tmp_path)
    planned = states(run, tmp_path, {changed: 2})
    assert files(tmp_path) == before, "a plan writes nothing"
    ran = stage_2(run, tmp_path, {changed: 2})
    assert [place for place, state in enumerate(planned) if state != "d"] == ran and "m" not in planned


@pytest.mark.slow
def test_missing_forced_and_interrupted(run, tmp_path):
    assert states(run, tmp_path, {}) == "mmmmmmmm"
    stage_2(run, tmp_path, {})
    assert states(run, tmp_path, {}, force=[6]) == "ddddddss"
    marker = tmp_path / "exp/mono/.done"
    marker.rename(tmp_path / "exp/mono/.started")
    assert states(run, tmp_path, {}) == "dddddbss"


def test_switchboard_plan_writes_nothing_and_estimates_everything(run, recipe, tmp_path):
    folder = recipe("switchboard")
    before = files(tmp_path)
    done = run(folder / "run.sh", "--dry-run", "--nj", "2", "--lambdas", "0.5 0.75")
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert files(tmp_path) == before
    assert [int(number) for number in re.findall(r"^stage (\d+):", done.stdout, re.MULTILINE)] == list(range(11))
    assert "not estimated]" not in done.stdout and "103 of 103 commands would run" in done.stdout
    assert "exp/student_l0.5_c90" in done.stdout and "WARNING: the preset wants a GPU" not in done.stdout
    status = run(folder / "run.sh", "--status", "--stage", "4", "--stop-stage", "4")
    assert status.returncode == 1 and "memory" not in status.stdout and "Plan for" not in status.stdout
    needed = re.findall(r"stage 4 needs (\S+),", status.stderr)
    assert needed == ["data/train_fbank", "exp/tri3_ali_train", "data/dev_fbank", "exp/tri3_ali_dev", "data/lang"]


def test_all_missing_paths_are_named_at_once(run, recipe, tmp_path):
    folder = recipe("switchboard")
    (tmp_path / "have").mkdir()
    done = run(folder / "run.sh", "--dry-run", "--swbd1", "/none/a", "--eval2000", f"{tmp_path}/have /none/b")
    assert done.returncode == 1 and not done.stdout
    assert "--swbd1: no such file or folder: /none/a" in done.stderr and "/none/b" in done.stderr and "--ms98 is not given" in done.stderr
    assert f"{tmp_path}/have" not in done.stderr
    done = run(folder / "run.sh", "--dry-run", *(word for name in ("swbd1", "ms98", "eval2000") for word in (f"--{name}", tmp_path / "have")))
    assert done.returncode == 0 and "preset paper" in done.stdout and "train 309 h" in done.stdout, done.stderr


def test_further_releases_are_in_the_plan(run, recipe, tmp_path):
    folder = recipe("switchboard")
    done = run(folder / "run.sh", "--dry-run", "--rt03", tmp_path, "--fisher", f"{tmp_path} {tmp_path}")
    assert done.returncode == 0 and "not estimated]" not in done.stdout, done.stderr
    assert all(name in done.stdout for name in ("prepare_rt03", "prepare_fisher", "interpolate_lm", "score.sh"))
    rescored = re.findall(r"lmrescore +(\S+) and (\d+) more", done.stdout)
    assert rescored == [(f"exp/mono/decode_{name}_fsh_fg", "13") for name in ("dev", "eval2000", "rt03")]
    # To the 90 come two preparations, three models, two rescorings, 14 scores by stm, tables, and tests between systems; for RT-03 five
    # of features, nine decodings, a rescoring, 28 scores, two times tables and tests.
    assert "169 of 169 commands would run" in done.stdout
    assert all(done.stdout.count(f"exp/results{name} ") == count for name, count in (("", 3), ("_fsh_fg", 2), ("_rt03", 2), ("_rt03_fsh_fg", 2)))
    estimator = Estimator("mini-smoke", "smoke", 100)
    assert estimator.hours(["exp/tri3/graph", "data/rt03_fbank"]) == estimator.rate("hours.rt03")
    assert "--fisher: no such" in run(folder / "run.sh", "--dry-run", "--fisher", "/none").stderr


def test_an4_plan(run, recipe, tmp_path):
    folder = recipe("an4")
    done = run(folder / "run.sh", "--dry-run", "--nj", "1", "--an4", tmp_path)
    assert done.returncode == 0 and "not estimated]" not in done.stdout and "stage 10:" in done.stdout, done.stderr
    assert "--an4 is not given" in run(folder / "run.sh", "--status").stderr


def test_speeds_make_the_networks_hours_longer_not_the_gmms(run, recipe, tmp_path):
    folder = recipe("an4")
    plans = {preset: run(folder / "run.sh", "--dry-run", "--nj", "1", "--an4", tmp_path, "--preset", preset).stdout for preset in ("mini", "full")}
    assert "not estimated]" not in plans["full"] and "perturb_data_dir_speed" in plans["full"] and "train_sp" not in plans["mini"]
    estimator = Estimator("an4", "full", 250)
    hours = estimator.sets["train"]
    estimator.cost(["utils/perturb_data_dir_speed", "0.9,1,1.1", "data/train", "data/train_sp"], ["data/train_sp"])
    three = hours * (1 / 0.9 + 1 + 1 / 1.1)
    for words, expected in ((["data/train", "exp/mono"], hours), (["data/train_fbank"], hours), (["data/train_sp"], three),
                            (["data/train_sp_fbank", "exp/tri3_ali_train"], three), (["exp/frames_train"], three), (["data/dev"], estimator.sets["dev"])):
        assert estimator.hours(words) == pytest.approx(expected), words


@pytest.mark.parametrize("preset, classes", [("paper", 9000), ("mini", 363)])
@pytest.mark.parametrize("name", ["cnn", "sainath", "lstm1", "lstm2", "dnn"])
def test_sizes_are_those_of_the_networks(preset, classes, name):
    import torch

    from pytorch_nnet.models.architecture import Architecture
    from pytorch_nnet.models.registry import build_network, count_parameters
    config = read_config(ROOT / f"egs/switchboard/conf/{preset}/{name}.yaml")
    with torch.device("meta"):
        network = build_network(Architecture(**{key: config[key] for key in ("arch", "channels", "hidden", "splice") if key in config}), classes)
        operations, parameters = network_size(config, classes)
        assert parameters == count_parameters(network)
        if config["arch"] == "blstm":
            return
        counted = []

        def count(module, _, output):
            counted.append(module.weight[0].numel() * output[0].numel())

        for module in network.modules():
            if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
                module.register_forward_hook(count)
        network(torch.zeros(1, 41, 31))
    assert operations == sum(counted)


def test_rates_are_read_and_interpolated(tmp_path):
    rates = read_rates()
    assert all(value > 0 for rows in rates.values() for _, value in rows)
    used = (ROOT / "utils/estimate.py").read_text()
    for name in rates:
        assert f'"{name}"' in used or re.match(r"hours\.|epochs\.|seconds\.(train|forward|make)|gb\.(mfcc|fbank)", name), f"{name} is not used"
    estimator = Estimator("ldc", "paper", 9000)
    estimator.rates = {"x": [(10.0, 1.0), (1000.0, 100.0)], "y": [(0.0, 5.0)]}
    assert [estimator.rate("x", at) for at in (1, 10, 100, 1000, 2000)] == pytest.approx([1, 1, 10, 100, 200])
    assert estimator.rate("y") == 5 and estimator.rate("y", 77) == 5


def test_fisher_counts_by_its_own_size():
    estimator = Estimator("ldc", "paper", 9000)
    own, fisher = (estimator.cost(["steps/train_lm", "--order", "4", text, "data/lang", "x"], ["x"])
                   for text in ("data/train/text", "data/local/fisher/text"))
    both = estimator.cost(["steps/interpolate_lm", "data/dev/text", "a", "b", "x"], ["x"])
    assert both.seconds > fisher.seconds > 4 * own.seconds and fisher.memory > own.memory


def test_rescoring_grows_with_the_model_and_the_lattices():
    estimator = Estimator("ldc", "paper", 9000)

    def cost(new, *systems):
        dirs = [folder for name in systems for folder in (f"exp/{name}/decode_dev_tg", f"exp/{name}/decode_dev_fg")]
        command = ["steps/lmrescore", "--nj", "2", "data/local/lm/3gram.arpa.gz", new, "data/dev", "data/lang", *dirs]
        return estimator.cost(command, dirs[1::2])

    mixed = "data/local/lm_mixed/4gram.arpa.gz"
    small, large, two = cost("data/local/lm/4gram.arpa.gz", "cnn"), cost(mixed, "cnn"), cost(mixed, "cnn", "dnn")
    assert large.fixed > 3 * small.fixed and large.memory > small.memory and large.jobs == 2
    assert two.seconds == 2 * large.seconds and two.gb == 2 * large.gb and two.fixed == large.fixed


def test_estimates_of_the_mini_corpus_are_near_what_it_took(run, recipe):
    """Stages of 10 s and more, by the table of benchmarks/README.md, which is of a quicker machine than utils/rates.tsv."""
    done = run(recipe("switchboard") / "run.sh", "--dry-run", "--nj", "2")
    seconds = {"s": 1, "min": 60, "h": 3600}
    planned = {int(number): float(value) * seconds[unit]
               for number, value, unit in re.findall(r"^stage (\d+):.*: ([\d.]+) (s|min|h), disk", done.stdout, re.MULTILINE)}
    took = {2: 11, 3: 97, 4: 81, 5: 77, 6: 129, 7: 77, 8: 81, 9: 162, 10: 31}
    quicker = statistics.median(planned[stage] / took[stage] for stage in took)
    assert 1 < quicker < 2
    for stage in took:
        assert 1 / 1.4 < planned[stage] / took[stage] / quicker < 1.4, stage


def test_commands_side_by_side_share_cores_and_the_gpu():
    def command(beside, **cost):
        return Planned(5, "", beside, None, "missing", Cost(**cost))

    hour = 3600
    assert stage_hours([command(False, seconds=hour), command(False, fixed=hour)], 2) == 2
    assert stage_hours([command(False, seconds=4 * hour, jobs=4)], 2) == 2
    assert stage_hours([command(True, seconds=hour), command(True, seconds=hour)], 2) == 1
    assert stage_hours([command(True, seconds=3 * hour), command(True, seconds=hour)], 2) == 3
    assert stage_hours([command(True, seconds=hour, cuda=True), command(True, seconds=hour, cuda=True)], 2) == 2
