"""Frame stores: layout on disk, windows, sampling, labels from alignments."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_nnet.frames.labels import check_lengths, join, label_map_hash, pdf_labels, publish_labels
from pytorch_nnet.frames.sampler import FrameSampler, Windows
from pytorch_nnet.frames.store import CONTEXT, DIM, WINDOW, FrameStore, write_frame_store
from pytorch_nnet.io.errors import RecipeError

LENGTHS = (1, 7, 50, 3)


def utterances(lengths=LENGTHS, classes=9):
    rng = np.random.default_rng(0)
    for index, length in enumerate(lengths):
        yield f"utt{index:04d}", rng.standard_normal((length, DIM)).astype(np.float32), rng.integers(0, classes, length)


def make(path, lengths=LENGTHS, **facts):
    facts = {"num_classes": 9, "label_map": "tree", "cmvn": {"norm_means": True, "norm_vars": False}, **facts}
    return write_frame_store(path, utterances(lengths), **facts)


@pytest.fixture
def store(tmp_path):
    return make(tmp_path / "store")


def reference_window(data, frame):
    """The window around frame `frame` of the set, straight from the definition: zeros beyond the utterance."""
    for _, rows, labels in data:
        if frame < len(rows):
            window = np.zeros((WINDOW, DIM), np.float32)
            for offset in range(-CONTEXT, CONTEXT + 1):
                if 0 <= frame + offset < len(rows):
                    window[CONTEXT + offset] = rows[frame + offset].astype(np.float16)
            return window, labels[frame]
        frame -= len(rows)


@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(1, 45), min_size=1, max_size=6))
def test_every_window_is_zero_padded_within_its_utterance(tmp_path_factory, lengths):
    store = make(tmp_path_factory.mktemp("store") / "s", lengths)
    data = list(utterances(lengths))
    frames = np.arange(store.num_frames)
    swept = list(Windows(store).sweep(batch=16))
    windows = np.concatenate([batch.windows.numpy() for batch in swept])
    labels = np.concatenate([batch.labels.numpy() for batch in swept])
    np.testing.assert_array_equal(windows, store.windows(frames))
    for frame in frames:
        window, label = reference_window(data, frame)
        np.testing.assert_array_equal(windows[frame], window)
        assert labels[frame] == label
    for (_, rows, labels), (_, expected_rows, expected_labels) in zip(store.utterances(), data, strict=True):
        np.testing.assert_array_equal(rows, expected_rows.astype(np.float16).astype(np.float32))
        np.testing.assert_array_equal(labels, expected_labels)


def test_layout_is_as_documented(store, tmp_path):
    # Read with nothing but docs/formats.md in mind.
    folder = tmp_path / "store"
    features = np.fromfile(folder / "features.f16", "<f2").reshape(-1, 31)
    labels = np.fromfile(folder / "labels.u16", "<u2")
    offsets = np.fromfile(folder / "offsets.i64", "<i8")
    assert offsets.tolist() == [0, 1, 8, 58, 61]
    assert (folder / "utts.txt").read_text().split() == ["utt0000", "utt0001", "utt0002", "utt0003"]
    expected = [np.zeros((20, 31), np.float16)]
    for _, rows, _ in utterances():
        expected += [rows.astype(np.float16), np.zeros((20, 31), np.float16)]
    np.testing.assert_array_equal(features, np.concatenate(expected))
    np.testing.assert_array_equal(labels, np.concatenate([pdfs for *_, pdfs in utterances()]))
    meta = json.loads((folder / "meta.json").read_text())
    facts = [meta[key] for key in ("num_frames", "num_utts", "num_classes", "dim", "context")]
    assert facts == [61, 4, 9, 31, 20]
    assert store.label_counts().sum() == 61


def test_same_content_same_bytes(tmp_path):
    one, two = make(tmp_path / "one"), make(tmp_path / "two")
    assert one.identity == two.identity
    assert (tmp_path / "one" / "meta.json").read_bytes() == (tmp_path / "two" / "meta.json").read_bytes()
    assert make(tmp_path / "three", label_map="another tree").identity != one.identity


def test_labels_beyond_32767_survive(tmp_path):
    store = write_frame_store(tmp_path / "s", [("a", np.zeros((2, DIM)), np.array([65535, 40000]))], num_classes=65536,
                              label_map="", cmvn={})
    (batch,) = Windows(store).sweep(8)
    assert batch.labels.tolist() == [65535, 40000]


@pytest.mark.parametrize("name", ["features.f16", "labels.u16", "offsets.i64", "utts.txt"])
def test_short_or_damaged_arrays_are_refused(store, tmp_path, name):
    path = tmp_path / "store" / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(RecipeError, match="damaged"):
        FrameStore.open(tmp_path / "store", check_hashes=True)
    path.write_bytes(whole[:-2])
    with pytest.raises(RecipeError, match="wrong size"):
        FrameStore.open(tmp_path / "store")
    path.unlink()
    with pytest.raises(RecipeError, match="wrong size"):
        FrameStore.open(tmp_path / "store")


def test_writing_to_a_view_does_not_reach_the_file(store, tmp_path):
    store.features[:] = 7
    assert not FrameStore.open(tmp_path / "store", check_hashes=True).padded(0)[:CONTEXT].any()


@pytest.mark.parametrize("spoil, message", [
    (lambda u, x, y: ("utt", x, y[:-1]), "another number of labels"),
    (lambda u, x, y: ("utt", x, y + 100), "label outside"),
    (lambda u, x, y: ("utt", x * np.nan, y), "float16"),
    (lambda u, x, y: ("utt", x * 1e9, y), "float16"),
    (lambda u, x, y: ("utt", x[:, :13], y), "wrong shape"),
    (lambda u, x, y: ("a", x, y), "C order")])
def test_bad_utterances_are_refused_and_nothing_is_published(tmp_path, spoil, message):
    (_, rows, pdfs), = utterances([5])
    with pytest.raises(RecipeError, match=message):
        write_frame_store(tmp_path / "s", [("b", rows, pdfs), spoil("utt", rows, pdfs)], num_classes=9, label_map="",
                          cmvn={})
    assert not list(tmp_path.iterdir())


def test_sampler_is_uniform_over_frames_and_resumes(store):
    sampler = FrameSampler(store, batch=1000, seed=3)
    counts = np.zeros(store.num_frames)
    for _ in range(61):
        np.add.at(counts, sampler.draw().frames.numpy(), 1)
    # 1000 expected draws a frame; six standard deviations.
    assert np.abs(counts - 1000).max() < 6 * 1000 ** 0.5
    state = sampler.state()
    expected = [sampler.draw() for _ in range(3)]
    other = FrameSampler(store, batch=1000, seed=99)
    other.restore(state)
    for one, two in zip(expected, [other.draw() for _ in range(3)]):
        assert all((a == b).all() for a, b in zip(one, two))


def test_masks_hide_one_band_of_channels_and_one_of_frames(store):
    sampler = FrameSampler(store, batch=2000, seed=1, masks=(5, 9))
    state = sampler.state()
    drawn = sampler.draw()
    hidden = (drawn.windows.numpy() == 0) & (store.windows(drawn.frames.numpy()) != 0)
    whole = store.windows(drawn.frames.numpy()) != 0
    np.testing.assert_array_equal(drawn.windows.numpy()[~hidden], store.windows(drawn.frames.numpy())[~hidden])
    # The middle frame lies within its utterance, so it shows the band of channels, and it is never within a band of frames.
    channels = hidden[:, 20]
    widths = channels.sum(1)
    assert set(widths) == set(range(6)) and all(np.ptp(np.flatnonzero(row)) == width - 1 for row, width in zip(channels, widths) if width)
    assert np.abs(np.bincount(widths) / 2000 - 1 / 6).max() < 0.05
    frames = np.array([all_hidden[:, ~band].any(1) for all_hidden, band in zip(hidden, channels)])
    assert not frames[:, 20].any() and frames.sum(1).max() <= 9 and frames.any(1).mean() > 0.3 and whole.any()
    # Every process sees the masks of its own windows, and a restored state draws the same again.
    shares = [FrameSampler(store, 2000, seed=1, share=slice(begin, begin + 1000), masks=(5, 9)).draw() for begin in (0, 1000)]
    assert torch.equal(torch.cat([share.windows for share in shares]), drawn.windows)
    sampler.restore(state)
    assert torch.equal(sampler.draw().windows, drawn.windows)


def test_sweep_with_a_limit_spreads_over_the_set(store):
    frames = np.concatenate([batch.frames.numpy() for batch in Windows(store).sweep(4, limit=10)])
    assert len(frames) == 10 and frames[0] == 0 and frames[-1] >= 50 and (np.diff(frames) >= 6).all()
    assert sum(len(batch.frames) for batch in Windows(store).sweep(4, limit=10_000)) == 61


def test_transition_ids_become_pdfs():
    pdf_of = np.array([-1, 4, 4, 2], np.int32)
    labels = pdf_labels({"a": np.array([1, 2, 3, 3])}, pdf_of, "ali")
    assert labels["a"].tolist() == [4, 4, 2, 2] and labels["a"].dtype == np.uint16
    with pytest.raises(RecipeError, match="transition-id unknown"):
        pdf_labels({"a": np.array([4])}, pdf_of, "ali")
    assert label_map_hash(b"tree", pdf_of) != label_map_hash(b"tree", pdf_of[:3])
    assert label_map_hash(b"tree", pdf_of) != label_map_hash(b"eert", pdf_of)


def test_join_counts_what_has_no_alignment(tmp_path, capsys):
    data = [(utt, rows) for utt, rows, _ in utterances([2] * 20)]
    labels = {utt: np.zeros(2, np.uint16) for utt, _ in data[1:]}
    kept = list(join(iter(data), labels, "data", "ali", tmp_path / "dropped"))
    assert len(kept) == 19 and (tmp_path / "dropped").read_text() == "utt0000 no alignment\n"
    assert "1 of 20" in capsys.readouterr().err
    del labels["utt0007"]
    with pytest.raises(RecipeError, match="too many utterances"):
        list(join(iter(data), labels, "data", "ali"))


def test_frame_counts_are_asserted():
    check_lengths("a", 10, 10, "data", "ali")
    for labels in (8, 12):
        with pytest.raises(RecipeError, match="snip_edges"):
            check_lengths("a", 10, labels, "data", "ali")
    with pytest.raises(RecipeError, match="same segments"):
        check_lengths("a", 10, 11, "data", "ali")


def test_labels_in_the_lhotse_manifest(tmp_path):
    from lhotse import CutSet, MonoCut, Recording

    # Frames as with snip_edges: 25 ms windows every 10 ms.
    recording = Recording("rec", [], 8000, 80000, 10.0)
    cuts, labels = [], {}
    for index, (start, duration) in enumerate([(0.0, 1.0), (2.345, 3.21), (7.77, 0.5)]):
        cut = MonoCut(f"utt{index}", start, duration, 0, recording=recording)
        frames = 1 + int(round(duration * 8000) - 200) // 80
        labels[cut.id] = (np.arange(frames) * 700 % 65536).astype(np.uint16)
        cuts.append(cut)
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl.gz")
    publish_labels(tmp_path, labels)
    first = (tmp_path / "cuts_labels.jsonl.gz").read_bytes()
    loaded = CutSet.from_file(tmp_path / "cuts_labels.jsonl.gz")
    assert [cut.id for cut in loaded] == list(labels)
    for cut in loaded:
        np.testing.assert_array_equal(cut.load_pdf_labels(), labels[cut.id])
        assert cut.load_pdf_labels().dtype == np.uint16
        part = cut.truncate(offset=0.2, duration=0.25)
        np.testing.assert_array_equal(part.load_pdf_labels(), labels[cut.id][20:45])
    publish_labels(tmp_path, labels)
    assert (tmp_path / "cuts_labels.jsonl.gz").read_bytes() == first
    with pytest.raises(RecipeError, match="without a cut"):
        publish_labels(tmp_path, {**labels, "unknown": np.zeros(3, np.uint16)})
