"""egs/your_corpus takes the smoke run's sets as if they were somebody's: a data directory, Lhotse's cuts, a plain lexicon."""

import os
import shutil
import subprocess

import pytest


@pytest.fixture
def yours(recipe):
    """A recipe folder of its own beside the smoke run's."""
    folder = recipe.with_name(f"{recipe.name}.yours")
    shutil.copytree(recipe.parent / "your_corpus", folder, symlinks=True, ignore=shutil.ignore_patterns("data", "exp"))
    yield folder
    shutil.rmtree(folder)


def run(folder, cwd, *options):
    done = subprocess.run([folder / "run.sh", "--preset", "smoke", "--sampling-rate", "8000", *options], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_from_data_directories_and_cuts_to_a_gmm(recipe, yours, tmp_path):
    subprocess.run([recipe / "utils/data_dir_to_lhotse", recipe / "data/eval2000", tmp_path / "cuts"], check=True, capture_output=True,
                   cwd=recipe)
    # Silence phones come first in the recipe's own lexicon's phones; here they are named by hand.
    shutil.copy(recipe / "data/local/dict/lexicon.txt", tmp_path / "lexicon.txt")
    options = ("--train", os.path.relpath(recipe / "data/train", tmp_path), "--test", "cuts/cuts.jsonl.gz", "--lexicon", "lexicon.txt",
               "--silence-phones", "nsn lau")
    # Where a wav.scp of the smoke run has relative paths, they are seen from its folder.
    plan = run(yours, tmp_path, *options, "--dry-run")
    assert "No estimates" in plan and not (yours / "data").exists()
    run(yours, recipe, "--train", "data/train", "--test", str(tmp_path / "cuts/cuts.jsonl.gz"), "--lexicon", str(tmp_path / "lexicon.txt"),
        "--silence-phones", "nsn lau", "--stop-stage", "2")
    train, dev = ((yours / f"data/{name}/spk2utt").read_text().split("\n") for name in ("train", "dev"))
    assert not {line.split("-")[0] for line in train if line} & {line.split("-")[0] for line in dev if line}, "both sides of a call go together"
    assert (yours / "data/test_fbank/feats.scp").exists() and (yours / "data/lang/G.fst").exists()
    ours, theirs = ({line.split()[0] for line in open(folder / "data/lang/words.txt")} for folder in (yours, recipe))
    assert ours == theirs
