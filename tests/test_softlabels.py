"""Soft-label stores: what is kept, prefixes for a smaller C, coverage, sharding."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_nnet.frames.softlabels import ShardWriter, SoftLabelStore, merge_shards, top_classes
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.io.publish import publish_folder
from test_frames import make

CLASSES = 9


def posteriors_of(frames, seed=0, sharpness=3.0):
    return torch.softmax(sharpness * torch.randn(frames, CLASSES, generator=torch.Generator().manual_seed(seed)), 1)


def reference_cut(row, most, mass):
    """The definition, one frame: most probable classes until their sum reaches the mass, at most `most`."""
    kept, total = [], 0.0
    for c in sorted(range(len(row)), key=lambda c: -row[c]):
        if len(kept) == most or (kept and total >= mass):
            break
        kept.append(c)
        total += float(row[c])
    return kept


def dump(tmp_path, store, posteriors, bounds, most=90, mass=0.99, name="soft"):
    """Shards with the given utterance bounds, merged."""
    shards = []
    for job, (start, end) in enumerate(zip(bounds[:-1], bounds[1:])):
        shards.append(tmp_path / f"{name}.shard{job}")
        with publish_folder(shards[-1]) as folder:
            writer = ShardWriter(folder, {"max_classes": most, "mass_cut": mass})
            for index in range(start, end):
                writer.add(posteriors[store.utt_slice(index)])
            writer.close()
    return merge_shards(shards, tmp_path / name, store, teachers=[{"name": "t", "sha256": "0", "weight": 1.0}],
                        max_classes=most, mass_cut=mass)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), most=st.integers(1, 12), mass=st.sampled_from([0.3, 0.9, 0.99, 0.9999]),
       sharpness=st.floats(0.5, 8))
def test_cut_is_the_definition(seed, most, mass, sharpness):
    posteriors = posteriors_of(20, seed, sharpness)
    counts, classes, probs = top_classes(posteriors, most, mass)
    start = 0
    for row, count in zip(posteriors.tolist(), counts):
        kept = classes[start:start + count]
        expected = reference_cut(row, most, mass)
        np.testing.assert_array_equal(kept, expected)
        np.testing.assert_allclose(probs[start:start + count], np.float16([row[c] for c in kept]))
        assert (np.diff(probs[start:start + count].astype(float)) <= 0).all()
        start += count
    assert start == len(classes)


@pytest.fixture
def store(tmp_path):
    # 61 + 64 + 90 frames: several blocks of 64, the last one not full.
    return make(tmp_path / "frames", lengths=(61, 64, 90))


@pytest.mark.parametrize("most", [1, 2, 4, None])
def test_gather_equals_a_store_made_with_that_c(tmp_path, store, most):
    posteriors = posteriors_of(store.num_frames)
    soft = dump(tmp_path, store, posteriors, [0, 3])
    frames = np.random.default_rng(0).integers(0, store.num_frames, 300)
    labels = soft.gather(frames, most)
    dense = torch.zeros(len(frames), CLASSES)
    dense[labels.rows, labels.classes] = labels.probs
    expected = torch.zeros(store.num_frames, CLASSES)
    for frame, row in enumerate(posteriors.tolist()):
        for c in reference_cut(row, most or 90, 0.99):
            expected[frame, c] = float(np.float16(row[c]))
    torch.testing.assert_close(dense, expected[frames], rtol=0, atol=0)
    assert (labels.rows.diff() >= 0).all()


def test_coverage_table(tmp_path, store):
    posteriors = posteriors_of(store.num_frames)
    meta = dump(tmp_path, store, posteriors, [0, 3]).meta
    assert [row["C"] for row in meta["coverage"]] == [1, 3, 10, 30, 90]
    for row in meta["coverage"]:
        kept = [[p[c] for c in reference_cut(p, row["C"], 0.99)] for p in posteriors.tolist()]
        assert row["classes"] == pytest.approx(np.mean([len(k) for k in kept]))
        assert row["mass"] == pytest.approx(np.mean([sum(k) for k in kept]), rel=1e-3)
    assert meta["mass_kept"] == meta["coverage"][-1]["mass"] >= 0.99
    small = dump(tmp_path, store, posteriors, [0, 3], most=2, name="small").meta
    assert [row["C"] for row in small["coverage"]] == [1] and 1 < small["classes_kept"] <= 2


def test_result_does_not_depend_on_the_number_of_shards(tmp_path, store):
    posteriors = posteriors_of(store.num_frames)
    one = dump(tmp_path, store, posteriors, [0, 3], name="one")
    dump(tmp_path, store, posteriors, [0, 1, 1, 3], name="three")
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "three" / file.name).read_bytes()
    assert SoftLabelStore.open(tmp_path / "three", check_hashes=True).identity == one.identity


def test_bytes_a_frame(tmp_path, store):
    soft = dump(tmp_path, store, posteriors_of(store.num_frames), [0, 3])
    size = sum(file.stat().st_size for file in (tmp_path / "soft").iterdir() if file.name != "meta.json")
    assert size == store.num_frames + 4 * len(soft.probs) + 8 * (4 + 1)  # 215 frames: 4 blocks


def test_soft_labels_of_another_store_are_refused(tmp_path, store):
    soft = dump(tmp_path, store, posteriors_of(store.num_frames), [0, 3])
    soft.check_matches(store)
    with pytest.raises(RecipeError, match="another frame store"):
        soft.check_matches(make(tmp_path / "other", lengths=(61, 64, 90), label_map="another tree"))
    with pytest.raises(RecipeError, match="do not cover"):
        merge_shards([tmp_path / "soft.shard0"], tmp_path / "x", make(tmp_path / "short", lengths=(61,)), teachers=[],
                     max_classes=90, mass_cut=0.99)
    assert not (tmp_path / "x").exists()


def test_impossible_c_is_refused():
    for most in (0, 256):
        with pytest.raises(RecipeError, match="impossible number"):
            top_classes(posteriors_of(3), most, 0.99)
