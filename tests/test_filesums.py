"""Damage in any file that a command of the recipe made is found before the next command reads it, and what is wanted is made again."""

import json
import shutil

import pytest


@pytest.fixture
def made(run, tmp_path):
    """Makes exp/a, adds to it, makes exp/a/sub of its own; returns how to call for exp/b, which depends on them."""

    def once(*words):
        return run("utils/once.py", *words)

    def make():
        for words in (("--out", "exp/a", "--", "bash", "-c",
                       "mkdir -p exp/a/log exp/a/deep; head -c 3000 /dev/zero > exp/a/deep/x; echo 1 > exp/a/y; date > exp/a/log/l"),
                      ("--out", "exp/a", "--name", "more", "--", "bash", "-c", "echo 2 > exp/a/y; echo 3 > exp/a/z"),
                      ("--out", "exp/a/sub", "--", "bash", "-c", "echo 4 > exp/a/sub/w")):
            assert once(*words).returncode == 0
        return once("--out", "exp/b", "--", "bash", "-c", "cat exp/a/y > exp/b/copy", "step", "exp/a")

    return make


def damage(path, offset=0):
    content = bytearray(path.read_bytes())
    content[offset] ^= 4
    path.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("name, offset", [("deep/x", 2999), ("y", 0)])
@pytest.mark.parametrize("how", ["flip", "cut", "remove"])
def test_damage_is_named_and_what_it_is_in_is_made_again(made, run, tmp_path, name, offset, how):
    assert made().returncode == 0
    shutil.rmtree(tmp_path / "exp/b")  # so that it is wanted again
    file = tmp_path / "exp/a" / name
    if how == "flip":
        damage(file, offset)
    elif how == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        file.unlink()
    done = made()
    marker = ".done" if name == "deep/x" else ".done.more"
    assert done.returncode == 1 and f"exp/a/{name}" in done.stderr and f"rm exp/a/{marker} &&" in done.stderr, done.stderr
    assert "CRC-32" in done.stderr and not (tmp_path / "exp/b").exists()
    checked = run("utils/check_files", "exp")
    assert checked.returncode == 1 and f"exp/a/{name}" in checked.stderr and "1 changed" in checked.stdout
    (tmp_path / "exp/a" / marker).unlink()
    assert made().returncode == 0 and run("utils/check_files", "exp").returncode == 0


def test_a_change_on_purpose_is_kept(made, run, tmp_path):
    made()
    (tmp_path / "exp/b/.done").unlink()
    (tmp_path / "exp/a/y").write_text("mine")
    assert made().returncode == 1
    assert run("utils/check_files", "--accept", "exp/a").returncode == 0
    assert made().returncode == 0 and (tmp_path / "exp/b/copy").read_text() == "mine"


def test_files_that_may_change_do_not_count(made, run, tmp_path):
    made()
    record = json.loads((tmp_path / "exp/a/.done").read_text())["files"]
    assert set(record) == {"deep/x", "y"} and set(json.loads((tmp_path / "exp/a/.done.more").read_text())["files"]) == {"y", "z"}
    (tmp_path / "exp/b/.done").unlink()
    (tmp_path / "exp/a/log/l").write_text("later")
    (tmp_path / "exp/a/added").write_text("by hand")
    damage(tmp_path / "exp/a/sub/w")
    assert made().returncode == 0, "sub is no input of exp/b"
    assert run("utils/check_files", "exp").returncode == 1


def test_an_input_file_is_checked_and_an_interrupted_command_may_go_on(run, tmp_path):
    assert run("utils/once.py", "--out", "exp/a", "--", "bash", "-c", "echo 1 > exp/a/x; echo 2 > exp/a/y").returncode == 0
    damage(tmp_path / "exp/a/x")
    assert run("utils/once.py", "--out", "exp/b", "--", "true", "exp/a/y").returncode == 0
    assert run("utils/once.py", "--out", "exp/c", "--", "true", "exp/a/x").returncode == 1
    # A command that adds to exp/a, killed when it had rewritten y.
    adding = ("utils/once.py", "--out", "exp/a", "--name", "more", "--", "bash", "-c", "echo 3 > exp/a/y; [ -e go ]", "step", "exp/a")
    run("utils/check_files", "--accept", "exp")
    assert run(*adding).returncode == 1
    (tmp_path / "go").touch()
    assert run(*adding).returncode == 0 and run("utils/check_files", "exp").returncode == 0
