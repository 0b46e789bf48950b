"""What training refuses, by name and without overwriting anything; and that any network may teach any other."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pytorch_nnet.frames.store import FrameStore
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.training.trainer import Trainer
from test_training import dump_here, make_store, tiny_options

SHAPES = {"dnn": dict(hidden=[8], splice=1), "vision": dict(channels=[2, 2, 2], hidden=[8]), "sainath": dict(channels=[2, 2], hidden=[8]),
          "blstm": dict(hidden=[4])}


@pytest.fixture
def stores(tmp_path):
    return make_store(tmp_path / "train"), make_store(tmp_path / "dev", seed=1, utts=2)


@pytest.fixture
def trained(tmp_path, stores):
    Trainer(tiny_options(), *stores, tmp_path / "net").run()
    return tmp_path / "net"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("keep", [0.5, 0.99, 8])
def test_a_checkpoint_cut_short_is_named(stores, trained, keep):
    path = trained / "checkpoint/last.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:int(len(whole) * keep) if keep < 1 else keep])
    before = contents(trained)
    with pytest.raises(RecipeError, match="checkpoint is damaged") as error:
        Trainer(tiny_options(max_epochs=9), *stores, trained).run()
    assert str(path) in str(error.value) and contents(trained) == before


@pytest.mark.slow
@pytest.mark.parametrize("arguments, sides", [
    (["--config", "typo.yaml"], ("unknown option", "epoch_batch", "did you mean 'epoch_batches'?")),
    (["--ratee", "0.1"], ("unknown option", "ratee", "'rate'")),
    (["--rate", "fast"], ("bad value", "rate", "float")),
    (["--precision", "float16"], ("bad value", "precision", "bfloat16")),
    (["--arch", "transformer"], ("unknown arch", "transformer", "blstm")),
    (["--device", "cuda:99"], ("GPU",)),
])
def test_misspelt_options_leave_the_model_alone(run, tmp_path, trained, arguments, sides):
    (tmp_path / "typo.yaml").write_text("arch: dnn\nepoch_batch: 3\n")
    before = contents(trained)
    done = run("steps/train_nnet", *arguments, "train", "dev", "net")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for side in sides:
        assert side in done.stderr
    assert contents(trained) == before


@pytest.mark.parametrize("which", [0, 1])
def test_a_label_that_is_no_class_is_found_at_the_start(tmp_path, stores, which):
    path = Path(stores[which].path) / "labels.u16"
    labels = np.fromfile(path, "<u2")
    labels[17] = 5
    labels.tofile(path)
    stores = [FrameStore.open(store.path, check_hashes=False) for store in stores]
    with pytest.raises(RecipeError, match="label outside the classes") as error:
        Trainer(tiny_options(), *stores, tmp_path / "net")
    assert str(path) in str(error.value) and "0 to 4" in str(error.value)


def test_a_store_with_fewer_labels_than_frames_is_not_opened(stores):
    path = Path(stores[0].path) / "labels.u16"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(RecipeError, match="wrong size") as error:
        FrameStore.open(stores[0].path)
    assert "480 bytes" in str(error.value) and "478" in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("student", SHAPES)
@pytest.mark.parametrize("teacher", SHAPES)
def test_any_network_teaches_any_other(tmp_path, stores, teacher, student):
    settings = dict(epoch_batches=2, max_epochs=1)
    Trainer(tiny_options(arch=teacher, **SHAPES[teacher], **settings), *stores, tmp_path / "teacher").run()
    dump_here(tmp_path / "teacher", stores[0], tmp_path / "soft")
    options = tiny_options(arch=student, **SHAPES[student], **settings, soft_labels=str(tmp_path / "soft"), soft_weight=0.5, top_c=5)
    result = Trainer(options, *stores, tmp_path / "student").run()
    assert result["frames"] == 80 and np.isfinite(result["cross_entropy"])


def test_soft_labels_of_another_alignment_are_refused(tmp_path, stores):
    """The same features and utterances with labels of another tree."""
    Trainer(tiny_options(), *stores, tmp_path / "teacher").run()
    dump_here(tmp_path / "teacher", stores[0], tmp_path / "soft")
    shutil.rmtree(tmp_path / "dev")
    other = make_store(tmp_path / "other", label_map="another tree"), make_store(tmp_path / "dev", seed=1, utts=2, label_map="another tree")
    with pytest.raises(RecipeError, match="another frame store"):
        Trainer(tiny_options(soft_labels=str(tmp_path / "soft"), soft_weight=0.5, top_c=5), *other, tmp_path / "student")
