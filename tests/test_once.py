"""utils/once.py: what is up to date is skipped; what is not is redone, with all that depends on it and nothing else."""

import json
import shutil
import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "utils"))

import once
import staleness


def test_skips_notices_and_propagates(run, tmp_path):
    (tmp_path / "in").write_text("1")

    def call(out, *words, **kwargs):
        return run("utils/once.py", "--out", out, "--", *words, **kwargs)

    def make():
        assert call("exp/a", "bash", "-c", "echo x >> exp/a/ran; echo x >> all", "in").returncode == 0
        assert call("exp/b", "bash", "-c", "echo x >> exp/b/ran; echo x >> all", "exp/a").returncode == 0
        return len((tmp_path / "all").read_text().split())

    assert make() == 2 and make() == 2
    (tmp_path / "in").write_text("2")
    assert make() == 4, "a changed input redoes what depends on it, directly or not"
    assert (tmp_path / "exp/a/ran").read_text() == "x\n", "stale output is removed first"
    assert call("exp/a", "bash", "-c", "exit 3").returncode == 3
    assert not (tmp_path / "exp/a/.done").exists()


def test_does_not_count_nj_but_options(run, tmp_path):
    for nj, beam, runs in ((1, 5, 1), (2, 5, 1), (2, 6, 2)):
        run("utils/once.py", "--out", "exp/a", "--", "bash", "-c", "echo x >> all", "--nj", nj, "--beam", beam)
        assert len((tmp_path / "all").read_text().split()) == runs


def test_does_not_count_the_launcher(run, tmp_path):
    (tmp_path / "utils").symlink_to(ROOT / "utils")
    for launcher in (["utils/run.py"], ["utils/run.py", "--mem", "4G"], ["utils/run.py", "--max-jobs-run", 2]):
        done = run("utils/once.py", "--out", "exp/a", "--", *launcher, "exp/a/log/x.log", "bash", "-c", "echo x >> all; echo so; echo made a")
        assert done.returncode == 0 and len((tmp_path / "all").read_text().split()) == 1, done.stderr
        assert done.stdout == ("made a\n" if launcher == ["utils/run.py"] else ""), "what a log ends with is shown when it is made"


def test_a_command_without_a_launcher_has_no_log(tmp_path):
    (tmp_path / "data").write_text("not a log\n")
    assert once.result_line(["steps/score", str(tmp_path / "data")]) == ""
    (tmp_path / "x.log").write_text("# steps/score\nWER 1\n\n# Ended\n")
    assert once.result_line(["utils/run.py", str(tmp_path / "x.log"), "steps/score"]) == "WER 1"


def test_keeps_what_the_same_killed_command_left(run, tmp_path):
    command = ("utils/once.py", "--out", "exp/a", "--", "bash", "-c", "ls exp/a > seen; touch exp/a/half; [ -e go ]")
    assert run(*command).returncode == 1
    (tmp_path / "go").touch()
    assert run(*command).returncode == 0 and "half" in (tmp_path / "seen").read_text()


def test_an_output_that_is_a_link_to_another_disk_stays_one(run, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp/a").symlink_to("../disk")
    for number in ("1", "2"):
        assert run("utils/once.py", "--out", "exp/a", "--", "bash", "-c", f"echo {number} > exp/a/made{number}").returncode == 0
    assert (tmp_path / "exp/a").is_symlink() and {path.name for path in (tmp_path / "disk").iterdir()} == {".done", "made2"}


def test_names_the_stage_before_missing_inputs(run):
    done = run("utils/once.py", "--out", "exp/b", "--", "true", "exp/tri1", STAGE_NUMBER="4")
    assert done.returncode == 1 and "exp/tri1" in done.stderr and "--stop-stage 3" in done.stderr


def test_does_not_take_its_own_output_for_an_input(run, tmp_path):
    for runs in (1, 1):
        done = run("utils/once.py", "--out", "exp/lm", "--", "bash", "-c", "echo x >> all; date +%N > exp/lm/3gram", "exp/lm/3gram")
        assert done.returncode == 0 and len((tmp_path / "all").read_text().split()) == runs


def test_skips_though_the_output_folder_is_among_the_arguments(run, tmp_path):
    for _ in range(3):
        assert run("utils/once.py", "--out", "exp/a", "--", "bash", "-c", "echo x >> all", "exp/a").returncode == 0
        assert (tmp_path / "all").read_text().split() == ["x"]


# Stage 2 in small: two data directories, several steps in each, as (name, folder it works on, folders among its arguments).
STEPS = [("prepare", "data/dev", []), ("copy", "data/dev_fbank", ["data/dev", "data/dev_fbank"]), ("mfcc", "data/dev", ["data/dev"]),
         ("fbank", "data/dev_fbank", ["data/dev_fbank"]), ("cmvn", "data/dev_fbank", ["data/dev_fbank"]),
         ("", "exp/mono", ["data/dev"]), ("", "exp/frames", ["data/dev_fbank", "exp/mono"]), ("eval", "exp/mono", ["exp/frames"])]


def calls(versions, force=()):
    """The arguments of utils/once.py for each of STEPS, which appends its name to `ran` and copies what its inputs hold."""
    for place, (name, out, folders) in enumerate(STEPS):
        script = f"echo {place} >> ran; cat /dev/null {' '.join(f'{folder}/[a-z]*' for folder in folders)} > new 2>/dev/null; mv new {out}/x{place}"
        options = [*(["--force"] if place in force else []), "--out", out, *(["--name", name] if name else [])]
        yield [*options, "--", "bash", "-c", script + f" # {versions.get(place, 1)}", "step", *folders]


def stage_2(run, tmp_path, versions, force=()):
    """Runs STEPS; returns those that ran."""
    (tmp_path / "ran").unlink(missing_ok=True)
    for call in calls(versions, force):
        done = run("utils/once.py", *call)
        assert done.returncode == 0, done.stderr
    return [int(line) for line in (tmp_path / "ran").read_text().split()] if (tmp_path / "ran").exists() else []


@pytest.mark.slow
@pytest.mark.parametrize("changed, redone", [
    (0, range(8)), (1, [1, 3, 4, 6, 7]), (2, [2, 5, 6, 7]), (3, [3, 4, 6, 7]), (4, [4, 6, 7]), (5, [5, 6, 7]), (6, [6, 7]), (7, [7])])
def test_a_change_redoes_what_follows_once(run, tmp_path, changed, redone):
    assert stage_2(run, tmp_path, {}) == list(range(len(STEPS)))
    assert stage_2(run, tmp_path, {}) == []
    assert stage_2(run, tmp_path, {changed: 2}) == list(redone)
    assert stage_2(run, tmp_path, {changed: 2}) == []


@pytest.mark.slow
def test_forced_steps_redo_what_follows_in_their_folder(run, tmp_path):
    stage_2(run, tmp_path, {})
    assert stage_2(run, tmp_path, {}, force=[1]) == [1, 3, 4]
    assert stage_2(run, tmp_path, {}) == []


@pytest.mark.slow
def test_a_killed_run_leaves_no_marker_that_hides_missing_work(run, tmp_path):
    stage_2(run, tmp_path, {})
    (tmp_path / "data/dev/.done.prepare").unlink()  # as after a kill in the middle of prepare
    assert stage_2(run, tmp_path, {}) == [0, 2]
    shutil.rmtree(tmp_path / "exp/mono")
    assert stage_2(run, tmp_path, {}) == [5, 7]


def test_a_marker_records_command_and_inputs(run, tmp_path):
    stage_2(run, tmp_path, {})
    record = json.loads((tmp_path / "exp/frames/.done").read_text())
    assert record["command"][0] == "bash" and set(record["inputs"]["data/dev_fbank"]) == {".done.copy", ".done.fbank", ".done.cmvn"}


def test_a_corpus_with_a_dead_link_has_a_digest(run, tmp_path):
    (tmp_path / "disc").mkdir()
    (tmp_path / "disc/link").symlink_to("nowhere")
    for runs in (1, 1):
        done = run("utils/once.py", "--out", "exp/a", "--", "bash", "-c", "echo x >> all", "step", "disc")
        assert done.returncode == 0 and len((tmp_path / "all").read_text().split()) == runs, done.stderr


@pytest.mark.parametrize("words, inputs, expected", [
    (["steps/x", "--rate", "0.02", "data/a"], {"data/a": {".done.prepare": "1"}}, ["--rate 0.02, was 0.01"]),
    (["steps/x", "--rate", "0.01", "--top-c", "3", "data/a"], {"data/a": {".done.prepare": "1"}}, ["--top-c 3 added"]),
    (["steps/x", "data/a"], {"data/a": {".done.prepare": "1"}}, ["--rate 0.01 gone"]),
    (["steps/x", "--rate", "0.01", "data/a"], {"data/a": {".done.prepare": "2"}}, ["data/a was made anew (prepare)"]),
    (["steps/x", "--rate", "0.01", "data/a"], {"data/a": {".done.prepare": "1"}, "conf/y": "ab"}, ["conf/y is a new input"]),
    (["steps/x", "--rate", "0.01", "data/a"], {}, ["data/a is gone"]),
    (["steps/x", "--rate", "0.01", "data/a"], {"data/a": {".done.prepare": "1"}}, []),
])
def test_says_what_changed(words, inputs, expected):
    record = {"command": ["steps/x", "--rate", "0.01", "data/a"], "inputs": {"data/a": {".done.prepare": "1"}}}
    assert staleness.changes(record, words, inputs, {}) == expected


def test_says_why_it_makes_anew(run, tmp_path):
    (tmp_path / "in").write_text("1")
    command = ("utils/once.py", "--out", "exp/a", "--", "bash", "-c", "touch exp/a/x", "in")
    assert run(*command).stderr == "", "what was never made needs no reason"
    (tmp_path / "in").write_text("2")
    assert run(*command).stderr == "once.py: exp/a: made anew: in has changed\n"
    assert run(*command).stderr == ""


def test_a_new_version_of_a_step_makes_its_output_stale(tmp_path, monkeypatch):
    table = tmp_path / "versions.tsv"
    table.write_text("# step\tversion\twhat changed\nsteps/x\t3\tthe seed\n")
    command = ["--out", str(tmp_path / "a"), "--", "utils/run.py", "x.log", "steps/x"]
    before = once.Request(command).current()[1]
    monkeypatch.setattr(staleness, "VERSIONS", table)
    assert once.Request(command).current()[1] != before
    assert staleness.versions(["utils/run.py", "log", "steps/x", "steps/y"]) == {"steps/x": 3}
    assert staleness.changes({"command": ["steps/x"]}, ["steps/x"], {}, {"steps/x": 3}) == ["steps/x: version 3, made by 1"]


def test_versions_are_of_programs_as_recipes_call_them():
    for line in (ROOT / "utils/versions.tsv").read_text().splitlines():
        if not line.startswith("#"):
            assert (ROOT / line.split("\t")[0]).is_file(), line
