"""Kaldi's archives of posteriors, byte by byte, and soft-label stores from and to them."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_nnet.frames.kaldi_posteriors import read_post
from pytorch_nnet.frames.softlabels import SoftLabelStore
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.io.kaldi_posterior import Posterior, posterior_to_bytes, read_posteriors
from pytorch_nnet.training.options import TrainOptions
from pytorch_nnet.training.trainer import Trainer
from test_training import CLASSES, dump_here, make_store

# As hmm/posterior.cc writes it: 2 frames, of 2 pairs and of 1.
BY_HAND = b"utt \0B" + b"".join(
    struct.pack("<B" + kind, 4, value) for kind, value in (
        ("i", 2), ("i", 2), ("i", 7), ("f", 0.75), ("i", 3), ("f", 0.25), ("i", 1), ("i", 300), ("f", 1.0)))
TEXT = b"utt [ 7 0.75 3 0.25 ] [ 300 1 ] \n"


def same(one: Posterior, two: Posterior):
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("content", [BY_HAND, TEXT, gzip.compress(BY_HAND, mtime=0)])
def test_reading_what_kaldi_writes(tmp_path, content):
    (tmp_path / "post").write_bytes(content)
    [(key, posterior)] = read_posteriors(tmp_path / "post")
    assert key == "utt"
    same(posterior, Posterior(np.array([2, 1]), np.array([7, 3, 300]), np.array([0.75, 0.25, 1], np.float32)))
    if content is BY_HAND:
        assert posterior_to_bytes(key, posterior) == BY_HAND


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 1 << 30), st.floats(0, 1, width=32)), max_size=4), max_size=6), st.booleans())
def test_archives_survive_a_round_trip(tmp_path_factory, frames, binary):
    pairs = [pair for frame in frames for pair in frame]
    posterior = Posterior(np.array([len(frame) for frame in frames], np.int64), np.array([i for i, _ in pairs], np.int32),
                          np.array([w for _, w in pairs], np.float32))
    path = tmp_path_factory.mktemp("post") / "post"
    path.write_bytes(b"".join(posterior_to_bytes(key, posterior, binary=binary) for key in ("a", "b")))
    for (key, found), expected in zip(read_posteriors(path), "ab", strict=True):
        assert key == expected
        same(found, posterior)


@pytest.mark.parametrize("content", [BY_HAND[:-1], BY_HAND[:-12], BY_HAND[:8], BY_HAND.replace(b"\4\x03", b"\x08\x03"), b"utt [ 7 0.75 3 ]\n",
                                     b"utt [ 7 x ]\n", b"utt 7 0.75\n", b"utt [ 7 0.75 \n"])
def test_damaged_archives_are_refused(tmp_path, content):
    (tmp_path / "post").write_bytes(content)
    with pytest.raises(RecipeError, match="cut short or damaged") as error:
        list(read_posteriors(tmp_path / "post"))
    assert "utt" in str(error.value)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A frame store and the soft labels of a network on it."""
    monkeypatch.chdir(tmp_path)
    store = make_store(tmp_path / "train")
    options = TrainOptions(arch="dnn", hidden=[8], splice=1, batch=16, epoch_batches=5, max_epochs=1)
    Trainer(options, store, store, tmp_path / "net").run()
    return store, dump_here("net", store, "soft")


@pytest.mark.slow
@pytest.mark.parametrize("binary", ["true", "false"])
def test_soft_labels_survive_the_way_to_kaldi_and_back(world, run, binary):
    store, soft = world
    for command in (("utils/soft_labels_to_post", "--nj", 2, "--binary", binary, "soft", "train", "post"),
                    ("utils/post_to_soft_labels", "--top-c", CLASSES, "post", "train", "back")):
        done = run(*command)
        assert done.returncode == 0, done.stderr
    back = SoftLabelStore.open("back", check_hashes=True)
    for name in ("counts", "classes", "probs", "offsets"):
        np.testing.assert_array_equal(getattr(back, name), getattr(soft, name), err_msg=name)
    assert back.meta["coverage"] == soft.meta["coverage"] and back.meta["label_map"] == store.label_map
    back.check_matches(store)
    kaldi = dict(pair for job in (1, 2) for pair in read_posteriors(f"post/post.{job}.gz"))
    assert list(kaldi) == store.utts and [len(p.counts) for p in kaldi.values()] == [40] * 6
    fewer = read_post("post", store, "fewer", top_c=1)
    np.testing.assert_array_equal(fewer.classes, soft.gather(np.arange(store.num_frames), 1).classes)


def entry(*frames, utt="utt0"):
    """40 frames of `utt`: those given, then class 0."""
    frames = [*frames, *[[(0, 1.0)]] * (40 - len(frames))]
    return utt, Posterior(np.array([len(frame) for frame in frames]), np.array([i for frame in frames for i, _ in frame], np.int32),
                          np.array([w for frame in frames for _, w in frame], np.float32))


@pytest.mark.parametrize("entries, sides", [
    ([entry(utt="utt1")], ("other utterances", "utt0")),
    ([entry(utt=f"utt{k}") for k in range(5)], ("other utterances", "utt5", "the end")),
    ([entry(utt=f"utt{k}") for k in range(7)], ("other utterances", "utt6", "one more")),
    ([("utt0", Posterior(np.array([1]), np.array([0]), np.array([1.0])))], ("another number", "40 frames", "found:    1")),
    ([entry([])], ("frame without", "utt0")),
    ([entry([(CLASSES, 1.0)])], ("class beyond", f"0 to {CLASSES - 1}")),
    ([entry([(-1, 1.0)])], ("class beyond",)),
    ([entry([(1, 0.5), (1, 0.25)])], ("one class twice",)),
    ([entry([(1, -0.5)])], ("no probabilities",)),
    ([entry([(1, np.nan)])], ("no probabilities",)),
    ([entry([(1, 0.9), (2, 0.9)])], ("no probabilities", "1.8")),
])
def test_posteriors_that_do_not_fit_are_refused(tmp_path, entries, sides):
    store = make_store(tmp_path / "train")
    (tmp_path / "post").mkdir()
    (tmp_path / "post/num_jobs").write_text("1\n")
    (tmp_path / "post/post.1.gz").write_bytes(gzip.compress(b"".join(posterior_to_bytes(*pair) for pair in entries)))
    with pytest.raises(RecipeError) as error:
        read_post(tmp_path / "post", store, tmp_path / "soft")
    for side in sides:
        assert side in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["post", "train"], "nothing half made is left"
