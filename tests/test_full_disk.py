"""A full disk or a folder that may not be written to: every layer that writes says so, leaves nothing half, and goes on when it may."""

import gc
import subprocess

import numpy as np
import pytest

from conftest import ROOT
from pytorch_nnet.io.errors import RecipeError

SIZE = 256 << 10
MANY = 200_000  # numbers that do not fit


@pytest.fixture
def disk(tmp_path):
    """A folder of 256 kB that can be filled and made read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def numbers():
    return np.random.default_rng(1).random(MANY).astype(np.float32)


def by_publish(path, values):
    from pytorch_nnet.io.publish import publish

    with publish(path, "wb") as file:
        file.write(values.tobytes())


def by_safetensors(path, values):
    import torch

    from pytorch_nnet.training.checkpoint import save_checkpoint

    save_checkpoint(path, {"weights": {"w": torch.from_numpy(values)}}, torch.zeros(1), {})


def by_store(path, values):
    from pytorch_nnet.frames.store import write_frame_store

    rows = values[:len(values) // 31 * 31].reshape(-1, 31)
    write_frame_store(path, [("utt", rows, np.zeros(len(rows), int))], num_classes=1, label_map="", cmvn={})


def by_lattices(path, values):
    from pytorch_nnet.decoding.lattice import Lattice, LatticeWriter

    count = len(values)
    with LatticeWriter(path) as writer:
        writer.write("utt", Lattice.build(np.arange(count), np.arange(1, count + 1), np.ones(count), values, values, np.arange(count + 1)))


def by_gzip(path, values):
    from pytorch_nnet.io.archives import write_ali

    write_ali(path, {"utt": values.view(np.int32)})


def by_npz(path, values):
    from pytorch_nnet.hmm.stats import TreeStats

    TreeStats(np.zeros((1, 4)), values).save(path)


def by_hdf5(path, values):
    from lhotse.features.io import NumpyHdf5Writer

    from pytorch_nnet.io.publish import publish_path

    with publish_path(path) as temporary, NumpyHdf5Writer(temporary) as writer:
        writer.write("utt", values)


def by_openfst(path, values):
    import kaldifst

    from pytorch_nnet.hmm.graphs import write_graphs

    fst = kaldifst.StdVectorFst()
    for _ in values[:len(values) // 2]:
        fst.add_state()
    fst.start = 0
    write_graphs(path, [("utt", fst)])


def by_libsndfile(path, values):
    import soundfile

    from pytorch_nnet.io.publish import publish_path

    with publish_path(path) as temporary:
        soundfile.write(str(temporary), np.tile(values, 2), 8000, format="NIST", subtype="ULAW")


WRITERS = [by_publish, by_safetensors, by_store, by_lattices, by_gzip, by_npz, by_hdf5, by_openfst, by_libsndfile]


@pytest.mark.slow
@pytest.mark.parametrize("write", WRITERS)
def test_every_layer_says_that_the_disk_is_full_and_goes_on_later(disk, write):
    path = disk / ("x.npz" if write is by_npz else "x.sph" if write is by_libsndfile else "x.h5" if write is by_hdf5 else "x")
    with pytest.raises(RecipeError) as error:
        write(path, numbers())
    assert error.value.what == "no space to write a file" and str(path) in str(error.value.file) and "left for" in error.value.found
    del error  # and with it the open files of its frames, whose space would not come back
    gc.collect()
    assert not [entry for entry in disk.rglob("*") if entry.is_file() or entry.name.startswith(".tmp")], "nothing half"
    write(path, numbers()[:620])
    assert path.exists() and not list(disk.rglob(".tmp*"))


@pytest.mark.parametrize("write", [by_publish, by_store, by_lattices])
def test_a_folder_that_may_not_be_written_to_is_named(disk, write):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(RecipeError, match="may not be written") as error:
        write(disk / "x", numbers()[:620])
    assert str(disk) in str(error.value.file) and "Read-only" in error.value.found


def fill(disk):
    with open(disk / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


@pytest.mark.parametrize("program", [
    ("utils/run.py", "exp/log/x.log", "true"), ("utils/once.py", "--out", "exp/a", "--", "true"), ("utils/run_lock.py", "take", "1")])
def test_programs_of_the_recipe_fail_cleanly(disk, run, program):
    fill(disk)
    done = run(*program, cwd=disk)
    assert done.returncode == 1 and "ERROR" in done.stderr and "Traceback" not in done.stderr, done.stderr
    (disk / "filler").unlink()
    done = run(*program, cwd=disk, TMPDIR=str(disk))
    assert done.returncode == 0, done.stderr


def test_a_step_whose_own_files_do_not_fit_has_no_traceback(disk, run):
    fill(disk)
    script = disk.parent / "step"
    script.write_text(f"#!/usr/bin/env python3\nimport sys; sys.path.insert(0, {str(ROOT)!r})\nfrom pytorch_nnet.io.main import run_main\n"
                      f"def main(argv): open({str(disk / 'x')!r}, 'w').write('x' * 100000)\nrun_main(main)\n")
    script.chmod(0o755)
    done = run(script, cwd=disk)
    assert done.returncode == 1 and "no space to write a file" in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_a_run_that_cannot_fit_does_not_start(tmp_path, disk):
    import sys

    sys.path.insert(0, str(ROOT / "utils"))
    from plan import check_disk

    assert check_disk(1.0, 2.0) == 0 and check_disk(1.0, 0.6) == 0 and check_disk(1.0, 0.4) == 1
    folder = disk / "egs/switchboard"
    folder.mkdir(parents=True)
    for part in ("run.sh", "path.sh", "cmd.sh", "conf", "local", "steps", "utils"):
        (folder / part).symlink_to(ROOT / "egs/switchboard" / part)
    (disk / "utils").mkdir()
    (disk / "utils/setup_env.sh").symlink_to("/bin/true")
    done = subprocess.run([folder / "run.sh", "--mini-size", "smoke"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "no space for what would run" in done.stderr and "--check-disk false" in done.stderr, done.stderr
    assert not (folder / "corpus").exists() and not (folder / ".run.lock").exists()
