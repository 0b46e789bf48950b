"""Networks over whole utterances: sizes, streaming, chunks that carry state, the sampler, and training with them."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from pytorch_nnet.frames.store import CONTEXT, DIM, write_frame_store
from pytorch_nnet.frames.utterances import UtteranceBatches, UtteranceStreams
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.models import load_model
from pytorch_nnet.models.architecture import Architecture
from pytorch_nnet.models.networks import KINDS
from pytorch_nnet.models.operations import multiplications
from pytorch_nnet.models.recurrence import RecurrentOptions, RecurrentStack
from pytorch_nnet.models.registry import build_network, count_parameters
from pytorch_nnet.models.sequence import SequenceNetwork, Stream
from pytorch_nnet.training.options import TrainOptions
from pytorch_nnet.training.trainer import Trainer

CLASSES = 7
STREAMING = {
    "lstm": dict(arch="recurrent", hidden=[6, 5], projection=0, head=[0]),
    "lstmp": dict(arch="recurrent", hidden=[6, 5], projection=3, head=[4], recurrent_init="orthogonal"),
    "gru": dict(arch="recurrent", cell="gru", hidden=[6], projection=0, head=[4], recurrent_init="gaussian"),
    "normed": dict(arch="recurrent", hidden=[6, 5], projection=0, head=[0], layer_norm=True, delay=0),
    "tdnn": dict(arch="tdnn", hidden=[5, 6, 4], offsets=["-2:2:1", "-1:2:3", "0:0:1"]),
    "cldnn": dict(arch="cldnn", channels=[3, 4], linear=5, hidden=[6, 5], projection=3, head=[4]),
    "cldnn_multiscale": dict(arch="cldnn", channels=[3, 4], linear=5, hidden=[6], projection=0, head=[0], context=14, skip=True, delay=2),
}
WHOLE = {"blstm": dict(arch="recurrent", hidden=[6, 5], projection=0, head=[0], bidirectional=True, delay=0)}


def network(name, seed=1):
    torch.manual_seed(seed)
    return build_network(Architecture(**{**STREAMING, **WHOLE}[name]), CLASSES).double().eval()


@pytest.mark.parametrize("cell, kind", [("lstm", torch.nn.LSTM), ("gru", torch.nn.GRU)])
def test_both_directions_are_those_of_torch(cell, kind):
    """Padding takes part in nothing: outputs and gradients are those of a bidirectional layer over packed sequences."""
    torch.manual_seed(1)
    stack = RecurrentStack(3, [4], RecurrentOptions(cell=cell), bidirectional=True).double()
    theirs = kind(3, 4, batch_first=True, bidirectional=True).double()
    with torch.no_grad():
        for layer, ending in ((stack.layers[0], ""), (stack.backward_layers[0], "_reverse")):
            for name, weight in layer.named_parameters():
                getattr(theirs, name + ending).copy_(weight)
    x, lengths = torch.randn(3, 9, 3, dtype=torch.float64), torch.tensor([4, 9, 1])
    mine = x.clone().requires_grad_()
    packed = x.clone().requires_grad_()
    outputs, _ = stack(mine, lengths)
    expected, _ = pad_packed_sequence(theirs(pack_padded_sequence(packed, lengths, batch_first=True, enforce_sorted=False))[0], batch_first=True)
    real = (torch.arange(9) < lengths.unsqueeze(1)).unsqueeze(2)
    assert torch.allclose(outputs * real, expected, atol=1e-12)
    weights = torch.randn_like(expected) * real
    (outputs * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.allclose(mine.grad, packed.grad, atol=1e-12) and (mine.grad[0, 4:] == 0).all()


@pytest.mark.slow
def test_sizes_of_the_cldnn():
    """By hand, from the notes on Sainath et al. (2015), 40 mel channels and 9000 classes; without peepholes."""
    def linear(inputs, outputs):
        return (inputs + 1) * outputs

    def lstmp(inputs):  # weights, recurrent weights, torch's two biases, the projection
        return 4 * 832 * (inputs + 512 + 2) + 832 * 512

    for mel, high in ((40, 7), (31, 4)):
        with torch.device("meta"):
            found = count_parameters(build_network(Architecture("cldnn", "paper"), 9000, mel))
        convolutions = linear(9 * 9, 256) + linear(256 * 3 * 4, 256) + linear(256 * high, 256)
        assert found == convolutions + lstmp(256 + mel) + lstmp(512) + linear(512, 1024) + linear(1024, 1024) + linear(1024, 9000)


def test_multiplications_of_a_step_are_its_weights():
    small = build_network(Architecture(**STREAMING["lstmp"]), CLASSES)
    weights = sum(parameter.numel() for name, parameter in small.named_parameters() if "bias" not in name)
    assert multiplications(small, DIM) == weights + 3 * (6 + 5)
    time_delay = build_network(Architecture(**STREAMING["tdnn"]), CLASSES)
    weights = sum(parameter.numel() for name, parameter in time_delay.named_parameters() if "weight" in name and "norms" not in name)
    assert multiplications(time_delay, DIM) == weights


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(sorted(STREAMING)), frames=st.integers(1, 60), data=st.data())
def test_a_stream_gives_what_the_whole_utterance_does(name, frames, data):
    small = network(name)
    rows = torch.randn(frames, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(frames))
    whole = small.utterance_logits(rows)
    stream, given_, taken = Stream(small), [], 0
    while taken < frames:
        size = data.draw(st.integers(1, frames - taken))
        given_.append(stream.add(rows[taken:taken + size]))
        taken += size
        assert sum(map(len, given_)) == max(0, taken - small.delay)
    given_.append(stream.end(DIM))
    assert whole.shape == (frames, CLASSES)
    torch.testing.assert_close(torch.cat(given_), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", sorted(STREAMING) + sorted(WHOLE))
def test_what_follows_an_utterance_in_a_batch_does_not_change_it(name):
    """Also that the output for a frame is the one that depends on its neighbours, `delay` steps later."""
    small = network(name)
    rows = [torch.randn(frames, DIM, dtype=torch.float64) for frames in (30, 9)]
    lengths = torch.tensor([len(row) + small.delay for row in rows])
    batch = torch.zeros(2, int(lengths.max()), DIM, dtype=torch.float64)
    for index, row in enumerate(rows):
        batch[index, :len(row)] = row
    logits, _ = small(batch, lengths)
    for index, row in enumerate(rows):
        found = logits[index, small.delay:small.delay + len(row)]
        torch.testing.assert_close(found, small.utterance_logits(row), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", sorted(STREAMING))
def test_the_future_beyond_the_delay_is_not_seen(name):
    small = network(name)
    rows = torch.randn(40, DIM, dtype=torch.float64)
    changed = rows.clone()
    changed[20 + small.delay + 1:] += 1
    before, after = small.utterance_logits(rows), small.utterance_logits(changed)
    torch.testing.assert_close(before[:21], after[:21], rtol=0, atol=0)
    assert not torch.allclose(before[21:], after[21:])


def test_every_frame_of_the_context_counts():
    small = network("cldnn")
    rows = torch.randn(40, DIM, dtype=torch.float64, requires_grad=True)
    small.linear.register_forward_hook(lambda layer, inputs, output: outputs.append(output))
    outputs = []
    small.utterance_logits(rows)
    outputs[0][0, :, 30].sum().backward()  # what the convolutions make of frame 30
    assert rows.grad.abs().sum(1).nonzero().flatten().tolist() == list(range(20, 31))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """24 utterances whose classes follow from the frames before, and show in the features with noise."""
    rng = np.random.default_rng(3)
    codes = rng.normal(0, 2, (CLASSES, DIM))

    def utterances():
        for number in range(24):
            labels = np.repeat(rng.integers(0, CLASSES, 12), rng.integers(2, 6, 12))
            yield f"u{number:02d}", (codes[labels] + rng.normal(0, 1.5, (len(labels), DIM))).astype(np.float32), labels

    return write_frame_store(tmp_path_factory.mktemp("store") / "frames", utterances(), num_classes=CLASSES, label_map="map",
                             cmvn={"norm_means": True, "norm_vars": False})


def sampler_of(store, seed, chunk, delay):
    return UtteranceStreams(store, 5, seed, chunk, delay) if chunk else UtteranceBatches(store, 5, seed, delay)


@pytest.mark.parametrize("chunk, delay", [(0, 0), (0, 5), (8, 5), (20, 0), (1, 0)])
def test_every_frame_comes_once_a_pass_with_its_label(store, chunk, delay):
    sampler = sampler_of(store, 1, chunk, delay)
    seen = []
    features = np.concatenate([store.padded(index)[CONTEXT:-CONTEXT] for index in range(store.num_utts)])
    before = None
    while len(seen) < 3 * store.num_frames:
        piece = sampler.draw()
        assert (chunk == 0 or piece.inputs.shape[1] == chunk) and piece.lengths.max() <= piece.inputs.shape[1]
        seen += piece.frames.tolist()
        assert piece.labels.tolist() == store.labels[piece.frames.numpy()].tolist()
        # The features of a labelled frame stand `delay` steps earlier, perhaps in the chunk before.
        rows = piece.inputs if before is None or not chunk else torch.cat([before, piece.inputs], 1)
        place = piece.labelled.nonzero()
        found = rows[place[:, 0], place[:, 1] + rows.shape[1] - piece.inputs.shape[1] - delay]
        np.testing.assert_array_equal(found.numpy(), features[piece.frames.numpy()])
        before = piece.inputs
    counts = np.bincount(seen)
    assert set(counts) <= {2, 3, 4} and len(counts) == store.num_frames and counts.sum() == len(seen)


@pytest.mark.parametrize("chunk", [0, 10])
def test_a_restored_sampler_goes_on(store, chunk):
    def draw(sampler, count):
        return [sampler.draw().frames.tolist() for _ in range(count)]

    whole = sampler_of(store, 1, chunk, 2)
    first = draw(whole, 25)
    state = whole.state()
    rest = draw(whole, 60)
    again = sampler_of(store, 1, chunk, 2)
    again.restore(state)
    assert draw(again, 60) == rest
    assert draw(sampler_of(store, 2, chunk, 2), 25) != first


def test_an_utterance_starts_from_nothing_whatever_was_before(store):
    """A stream's second utterance gives what it gives alone."""
    from pytorch_nnet.training.feeds import UtteranceFeed
    from pytorch_nnet.training.processes import ALONE

    small = network("cldnn").float()
    feed = UtteranceFeed(store, TrainOptions(arch="cldnn", batch=1, chunk=12, seed=3), ALONE, torch.device("cpu"), small)
    rows, began = {}, 0
    while began < 4:
        piece = feed.draw()
        began += int(piece.first[0])
        rows.update(zip(piece.frames.tolist(), feed.logits(small, piece).detach()))
    for index in range(store.num_utts):
        frames = range(store.offsets[index], store.offsets[index + 1])
        if all(frame in rows for frame in frames):
            alone = small.utterance_logits(torch.from_numpy(store.padded(index)[CONTEXT:-CONTEXT].astype(np.float32)))
            torch.testing.assert_close(torch.stack([rows[frame] for frame in frames]), alone, rtol=0, atol=1e-5)
            rows["checked"] = rows.get("checked", 0) + 1
    assert rows["checked"] >= 2


def train(store, folder, **options):
    values = dict(batch=4, epoch_batches=40, max_epochs=4, rate=0.05, max_norm=1.0, decay=0.8, anneal_epochs=3, seed=1)
    return Trainer(TrainOptions(**{**values, **options}), store, store, folder)


SMALL = {"lstm": dict(arch="recurrent", hidden=[24], projection=0, head=[0], delay=2, chunk=10),
         "cldnn": dict(arch="cldnn", channels=[6, 8], linear=12, hidden=[16], projection=3, head=[4], chunk=10, epoch_batches=80),
         "tdnn": STREAMING["tdnn"], "blstm": dict(**WHOLE["blstm"]),
         "dropped": dict(arch="recurrent", hidden=[24, 24], projection=0, head=[0], delay=2, chunk=10, dropout=0.2, layer_norm=True)}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SMALL))
def test_each_kind_learns_and_its_folder_evaluates(store, tmp_path, name):
    result = train(store, tmp_path / name, **SMALL[name]).run()
    records = [json.loads(line) for line in (tmp_path / name / "train.jsonl").read_text().splitlines()]
    assert records[-1]["train_loss"] < 0.6 * math.log(CLASSES) and result["fer"] < 0.3, records
    model = load_model(tmp_path / name)
    rows = store.padded(0)[CONTEXT:-CONTEXT].astype(np.float32)
    posteriors = model.posteriors(rows)
    assert posteriors.shape == (len(rows), CLASSES)
    np.testing.assert_allclose(posteriors.sum(1), 1, atol=1e-5)
    assert "splice" not in model.config and "channels" in model.config or name != "cldnn"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cldnn", "dropped"])
def test_a_killed_training_goes_on_to_the_same_weights(store, tmp_path, name, monkeypatch):
    train(store, tmp_path / "whole", **SMALL[name]).run()

    def killed(self, *arguments):
        if self.schedule.state.epoch == 2:
            raise KeyboardInterrupt
        return validate(self, *arguments)

    validate = Trainer.validate
    monkeypatch.setattr(Trainer, "validate", killed)
    with pytest.raises(KeyboardInterrupt):
        train(store, tmp_path / "killed", **SMALL[name]).run()
    monkeypatch.undo()
    train(store, tmp_path / "killed", **SMALL[name]).run()
    assert (tmp_path / "killed/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()


def test_chunks_with_carried_state_give_the_gradient_of_the_whole_where_nothing_is_cut(store):
    """A time-delay network carries inputs only, so the sum of its chunks' gradients is that of the utterance."""
    small = network("tdnn")
    rows = torch.randn(1, 40, DIM, dtype=torch.float64)

    def gradient(parts):
        small.zero_grad()
        state = None
        for part in rows.split(parts, 1):
            logits, state = small(part, torch.tensor([part.shape[1]]), state)
            logits.sin().sum().backward()
        return [parameter.grad.clone() for parameter in small.parameters()]

    for whole, chunked in zip(gradient(40), gradient(7)):
        torch.testing.assert_close(whole, chunked, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("options, message", [
    (dict(arch="recurrent", chunk=5, delay=5), "a chunk as short as the delay"),
    (dict(arch="recurrent", bidirectional=True, delay=0, chunk=20), "needs whole utterances"),
    (dict(arch="recurrent", mask_frames=3), "hidden in windows only"),
    (dict(arch="vision", chunk=20), "windows have no chunks"),
])
def test_what_does_not_go_together_is_refused(store, tmp_path, options, message):
    with pytest.raises(RecipeError, match=message):
        train(store, tmp_path / "x", **options)


@pytest.mark.parametrize("shape, message", [
    (dict(arch="recurrent", bidirectional=True), "needs no delay"), (dict(arch="recurrent", cell="rnn"), "bad value"),
    (dict(arch="recurrent", cell="gru", projection=3), "only an LSTM"), (dict(arch="recurrent", dropout=1.0), "out of range"),
    (dict(arch="recurrent", hidden=[4], projection=4), "as wide as its layer"), (dict(arch="cldnn", context=9), "less context"),
    (dict(arch="tdnn", offsets=["-1:1"] * 5), "bad offsets"), (dict(arch="tdnn", offsets=["-1:2:2"] * 5), "bad offsets"),
    (dict(arch="vision", splice=3), "option of another network"), (dict(arch="cldnn", channels=[3]), "impossible network shape"),
])
def test_impossible_shapes_are_refused(shape, message):
    with pytest.raises(RecipeError, match=message):
        build_network(Architecture(**shape), CLASSES)


def test_every_kind_has_both_presets_and_a_name():
    for name in KINDS:
        for preset in ("mini", "paper"):
            shape = Architecture(name, preset)
            with torch.device("meta"):
                built = build_network(shape, 50)
            assert shape.display_name() and count_parameters(built) > 0
            assert isinstance(built, SequenceNetwork) == (name in ("recurrent", "cldnn", "tdnn", "conv_bigru"))
