"""MMI and sMBR: sums over paths against walking through them, gradients, the lattice store, trainings with them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from pytorch_nnet.decoding.denlats import silence_pdfs
from pytorch_nnet.frames.lattices import LatticeStore, ShardWriter, join_arcs, merge_shards
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.training.feeds import UtteranceWindowFeed
from pytorch_nnet.training.forward_backward import by_class, forward_backward, mmi, path_weights, smbr
from pytorch_nnet.training.options import TrainOptions
from pytorch_nnet.training.path_objective import PathLoss, PathObjective
from pytorch_nnet.training.processes import ALONE
from pytorch_nnet.training.trainer import Trainer
from test_training import CLASSES, Killed
from toy_frame_lattices import all_paths, frame_store, lattice_store, random_lattice

SCALE = 0.3


@st.composite
def problems(draw):
    """A lattice, its labels and log-likelihoods."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lattice, labels = random_lattice(rng, draw(st.integers(1, 6)), draw(st.integers(1, 3)), CLASSES)
    return lattice, labels, rng.normal(0, 3, (len(labels), CLASSES))


def by_walking(lattice, labels, loglikes):
    """Of every path: its log weight, its classes (paths, T); computed one path at a time."""
    paths = all_paths(lattice)
    classes = lattice.pdf[paths]
    scores = SCALE * loglikes[np.arange(len(labels)), classes].sum(1) + lattice.graph[paths].sum(1)
    return scores, classes


@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_sums_over_paths_are_those_of_a_walk_through_all(problem):
    lattice, labels, loglikes = problem
    scores, classes = by_walking(lattice, labels, loglikes)
    total = np.logaddexp.reduce(scores)
    share = np.exp(scores - total)
    occupied = np.einsum("p,ptc->tc", share, np.eye(CLASSES)[classes])
    weight = path_weights(lattice, loglikes, SCALE)
    occupancy = forward_backward(lattice, weight)
    assert occupancy.total == pytest.approx(total, abs=1e-9)
    np.testing.assert_allclose(by_class(lattice, occupancy.arcs, loglikes.shape), occupied, atol=1e-12)

    for reference in (lattice.reference, lattice.pdf == labels[lattice.frame]):
        value, gradient = mmi(lattice, loglikes, reference, SCALE)
        own = reference[all_paths(lattice)].all(1)
        own_total = np.logaddexp.reduce(scores[own])
        own_share = np.where(own, np.exp(scores - own_total), 0)
        assert value == pytest.approx((own_total - total) / SCALE, abs=1e-8) and value <= 1e-9
        np.testing.assert_allclose(gradient, np.einsum("p,ptc->tc", own_share, np.eye(CLASSES)[classes]) - occupied, atol=1e-12)
        dropped = mmi(lattice, loglikes, reference, SCALE, drop=True)[1]
        np.testing.assert_array_equal(dropped, np.where(lattice.found[:, None], gradient, 0))

        there = np.zeros((len(labels), CLASSES), bool)
        for arc in np.flatnonzero(reference):
            there[lattice.frame[arc], lattice.pdf[arc]] = True
        silence = np.arange(CLASSES) < 2
        for one_silence in (False, True):
            spoken = there[np.arange(len(labels)), classes] & (classes >= 2)
            accuracy = (spoken | one_silence & (classes < 2) & there[:, :2].any(1)).sum(1)
            value, gradient = smbr(lattice, loglikes, reference, SCALE, silence, one_silence)
            assert value == pytest.approx((share @ accuracy - len(labels)) / SCALE, abs=1e-8)
            expected = np.einsum("p,ptc->tc", share * (accuracy - share @ accuracy), np.eye(CLASSES)[classes])
            np.testing.assert_allclose(gradient, expected, atol=1e-10)


def collapsed(classes):
    return classes[np.append(True, np.diff(classes) != 0)].tolist()


@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_the_reference_is_every_path_with_the_same_classes_in_the_same_order(problem):
    lattice, labels, _ = problem
    paths = all_paths(lattice)
    same = [collapsed(lattice.pdf[path]) == collapsed(labels) for path in paths]
    expected = np.zeros(len(lattice.pdf), bool)
    expected[paths[same]] = True
    np.testing.assert_array_equal(lattice.reference, expected)
    lattice.check(CLASSES)


@settings(max_examples=15, deadline=None)
@given(problem=problems())
def test_gradients_are_the_derivatives(problem):
    lattice, _, loglikes = problem
    silence, reference = np.arange(CLASSES) < 2, lattice.reference
    for criterion in (lambda a: mmi(lattice, a, reference, SCALE), lambda a: smbr(lattice, a, reference, SCALE, silence),
                      lambda a: smbr(lattice, a, reference, SCALE, silence, False)):
        logits = torch.tensor(loglikes, requires_grad=True)
        assert torch.autograd.gradcheck(lambda x: PathLoss.apply(x, criterion), logits)


def test_long_utterances_neither_underflow_nor_overflow():
    rng = np.random.default_rng(5)
    lattice, labels = random_lattice(rng, 3000, 4, CLASSES)
    exact = lattice.pdf == labels[lattice.frame]
    value, gradient = mmi(lattice, rng.normal(-500, 60, (3000, CLASSES)), exact, SCALE)
    assert np.isfinite(value) and value < -1e4 and np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient.sum(1), 0, atol=1e-9)
    value, gradient = smbr(lattice, rng.normal(0, 60, (3000, CLASSES)), exact, SCALE, np.zeros(CLASSES, bool))
    assert -3000 / SCALE < value < 0 and np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_arcs_are_joined_into_a_lattice():
    labels = np.array([1, 2])
    columns = [0, 0, 0, 1, 1], [9, 9, 9, 4, 7], [4, 7, 4, 0, 5], [1, 1, 1, 2, 0]
    lattice = join_arcs(*columns, [-1.0, -2.0, -3.0, 0.0, 0.5], labels, [True, False])
    assert [column.tolist() for column in (lattice.first, lattice.src, lattice.dst, lattice.pdf)] == [[0, 2, 4], [0, 0, 0, 1], [0, 1, 0, 0], [1, 1, 2, 0]]
    both = np.logaddexp(-1, -3)
    np.testing.assert_allclose(lattice.graph, [both, -2, 0, 0.5], rtol=1e-6)
    assert lattice.reference.tolist() == [True, False, True, False] and lattice.found.tolist() == [True, False] and lattice.sizes.tolist() == [1, 2, 1]
    for frame, src, dst, pdf, wrong in (([0, 0, 1], [0, 0, 1], [1, 2, 0], [1, 1, 2], "without a way on"),
                                        ([0, 1, 1], [0, 1, 2], [1, 0, 0], [1, 2, 2], "not reached"),
                                        ([0, 0, 1], [0, 3, 1], [1, 1, 0], [1, 1, 2], "not reached"),
                                        ([0, 1], [0, 1], [1, 0], [1, 1], "is the alignment")):
        with pytest.raises(ValueError, match=wrong):
            join_arcs(frame, src, dst, pdf, np.zeros(len(src)), labels, [True, True])


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Frame stores, and lattices of them; of the 24 training utterances one has none."""
    folder = tmp_path_factory.mktemp("sequence")
    frames = frame_store(folder / "train", 24, CLASSES), frame_store(folder / "dev", 6, CLASSES, seed=1)
    lattice_store(folder / "lat_train", frames[0], without=1)
    lattice_store(folder / "lat_dev", frames[1], seed=1)
    return frames


@pytest.fixture(scope="module")
def first(stores):
    """A network trained on frames."""
    folder = stores[0].path.parent / "first"
    Trainer(TrainOptions(arch="dnn", hidden=[16], splice=0, batch=32, epoch_batches=30, max_epochs=2, rate=0.02), *stores, folder).run()
    return folder


def options(stores, first, **changes):
    folder = stores[0].path.parent
    return TrainOptions(**{**dict(arch="dnn", hidden=[16], splice=0, batch=3, epoch_batches=8, max_epochs=3, rate=0.01, objective="smbr", init=str(first),
                                  denlats=str(folder / "lat_train"), dev_denlats=str(folder / "lat_dev"), seed=1), **changes})


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_store_gives_back_what_was_written_however_it_was_shared_out(stores, tmp_path, jobs):
    train, rng = stores[0], np.random.default_rng(0)
    lattices = []
    for index in range(train.num_utts):
        labels = train.labels[train.utt_slice(index)].astype(int)
        frames = np.arange(len(labels))
        columns = (np.tile(frames, 2), np.tile(frames > 0, 2) * 1, np.ones(80, int), np.append(labels, (labels + 1) % CLASSES))
        lattices.append(join_arcs(*columns, rng.normal(size=80), labels, rng.random(len(labels)) < 0.5) if index != 7 else None)
    bounds = np.linspace(0, train.num_utts, jobs + 1).astype(int)
    shards = [tmp_path / f"shard.{job}" for job in range(jobs)]
    for shard, low, high in zip(shards, bounds[:-1], bounds[1:]):
        shard.mkdir()
        writer = ShardWriter(shard)
        for lattice in lattices[low:high]:
            writer.add(lattice) if lattice else writer.add_none("utt07", 40, "no path")
        writer.close()
    store = merge_shards(shards, tmp_path / "out", train, {"acwt": 0.1, "prior_scale": 1.0, "silence_pdfs": [2]})
    store.check_matches(train)
    assert store.failed == {"utt07": "no path"} and "23 of 24 utterances, 2.0 arcs a frame" in store.summary()
    for index, lattice in enumerate(lattices):
        found = store.lattice(train.utt_slice(index))
        assert (found is None) == (lattice is None)
        if lattice:
            for name in ("first", "src", "dst", "pdf", "graph", "found", "reference"):
                np.testing.assert_array_equal(getattr(found, name), getattr(lattice, name), err_msg=name)
    reference = tmp_path.parent / "one_job.json"
    facts = (tmp_path / "out" / "meta.json").read_bytes()  # holds the hashes of all arrays
    if jobs == 1:
        reference.write_bytes(facts)
    assert reference.read_bytes() == facts
    with pytest.raises(RecipeError, match="another frame store"):
        store.check_matches(stores[1])
    with pytest.raises(RecipeError, match="do not cover"):
        merge_shards(shards[:1] if jobs > 1 else [], tmp_path / "part", train, {})


def test_too_many_utterances_without_a_lattice_are_fatal(stores, tmp_path):
    with pytest.raises(RecipeError, match="too many utterances without a lattice"):
        lattice_store(tmp_path / "lattices", stores[0], without=2)


def test_damage_is_noticed(stores, tmp_path):
    path = tmp_path / "lattices"
    lattice_store(path, stores[1])
    whole = (path / "dst.u16").read_bytes()
    (path / "dst.u16").write_bytes(whole[:-2] + b"\x05\x00")
    with pytest.raises(RecipeError, match="damaged"):
        LatticeStore.open(path)
    store = LatticeStore.open(path, check_hashes=False)
    with pytest.raises(RecipeError, match="contradicts itself"):
        store.lattice(stores[1].utt_slice(5))
    (path / "dst.u16").write_bytes(whole[:-2])
    with pytest.raises(RecipeError, match="wrong size"):
        LatticeStore.open(path)


def test_classes_of_silence_are_those_of_silence_phones_alone():
    model = SimpleNamespace(phone_of=np.array([0, 1, 1, 2, 3, 3]), pdf_of=np.array([0, 4, 5, 6, 6, 2]))
    assert silence_pdfs(SimpleNamespace(silence_phones=[1, 2]), model) == [4, 5]


def test_the_loss_is_that_of_the_utterances_and_smoothed(stores, first):
    """Priors, scale and the order of utterances as they should be, and nothing from an utterance without a lattice."""
    train = stores[0]
    lattices, prior = LatticeStore.open(options(stores, first).denlats), np.log(train.label_counts() / train.num_frames)
    frames = torch.cat([torch.arange(40 * index, 40 * index + 40) for index in (5, 0, 3)])
    logits = torch.randn(120, CLASSES, generator=torch.Generator().manual_seed(1), requires_grad=True)
    labels = torch.from_numpy(train.labels[frames.numpy()].astype(int))
    expected = 0.0
    for row, index in ((0, 5), (80, 3)):
        part, lattice = slice(row, row + 40), lattices.lattice(train.utt_slice(index))
        expected -= mmi(lattice, logits.detach().double().numpy()[part] - prior, lattice.reference, 0.2)[0]
    objective = PathObjective(options(stores, first, objective="mmi", frame_smoothing=0.0), *stores, torch.nn.Flatten())
    piece = SimpleNamespace(labels=labels, frames=frames)
    loss = objective.loss(logits, piece)
    assert loss.item() == pytest.approx(expected / 120, rel=1e-5)
    loss.backward()
    assert (logits.grad[40:80] == 0).all() and (logits.grad[:40].abs().sum(1) > 0).any()
    objective = PathObjective(options(stores, first, objective="mmi", frame_smoothing=0.25), *stores, torch.nn.Flatten())
    assert objective.loss(logits, piece).item() == pytest.approx(0.75 * expected / 120 + 0.25 * float(cross_entropy(logits, labels)), rel=1e-5)


def test_windows_of_whole_utterances_are_those_of_the_store(stores, first):
    train = stores[0]
    feed = UtteranceWindowFeed(train, options(stores, first), ALONE, torch.device("cpu"), torch.nn.Flatten())
    for _ in range(5):
        piece = feed.draw()
        np.testing.assert_array_equal(feed.logits(torch.nn.Flatten(), piece).numpy(), train.windows(piece.frames.numpy()).reshape(len(piece.frames), -1))
        assert len(piece.frames) == 3 * 40


@pytest.mark.parametrize("objective", ["mmi", "smbr"])
def test_training_goes_on_exactly_and_makes_the_criterion_better(stores, first, tmp_path, monkeypatch, capsys, objective):
    wanted = options(stores, first, objective=objective)
    trainer = Trainer(wanted, *stores, tmp_path / "whole")
    before = trainer.validate()[0]
    trainer.run()
    assert trainer.records[-1]["valid_loss"] < before - 0.01
    assert "23 of 24 utterances" in (seen := capsys.readouterr()).err and f"epoch 0: valid loss {before:.4f}" in seen.out
    learn, steps = Trainer.learn, []

    def dying(self, *arguments):
        steps.append(1)
        if len(steps) == 12:  # in the second epoch
            raise Killed
        return learn(self, *arguments)

    monkeypatch.setattr(Trainer, "learn", dying)
    with pytest.raises(Killed):
        Trainer(wanted, *stores, tmp_path / "cut").run()
    Trainer(wanted, *stores, tmp_path / "cut").run()
    assert len(steps) == 12 + 16
    assert (tmp_path / "whole/model.safetensors").read_bytes() == (tmp_path / "cut/model.safetensors").read_bytes()
    records = [[{**json.loads(line), "seconds": 0} for line in (tmp_path / name / "train.jsonl").read_text().splitlines()] for name in ("whole", "cut")]
    assert records[0] == records[1] and len(records[0]) == 3


def test_other_lattices_are_another_training(stores, first, tmp_path, capsys):
    Trainer(options(stores, first, max_epochs=1), *stores, tmp_path / "net").run()
    lattice_store(tmp_path / "others", stores[0], seed=9)
    Trainer(options(stores, first, max_epochs=1, denlats=str(tmp_path / "others")), *stores, tmp_path / "net").run()
    assert "another training (denlats changed)" in capsys.readouterr().out


def test_weights_that_get_no_better_are_published_as_they_were(stores, first, tmp_path):
    Trainer(options(stores, first, rate=1e-12), *stores, tmp_path / "still").run()
    trainer = Trainer(options(stores, first, objective="mmi", rate=0.3, max_epochs=2), *stores, tmp_path / "worse")
    trainer.validate = iter([(1.0, 0.5), (1.1, 0.1), (1.2, 0.1)]).__next__
    trainer.run()
    given, published = (load_file(folder / "model.safetensors") for folder in (first, tmp_path / "worse"))
    assert all(torch.equal(given[name], published[name]) for name in given)
    assert json.loads((tmp_path / "worse/info.json").read_text())["best_epoch"] == 0


def test_networks_over_utterances_learn_from_lattices_too(stores, tmp_path):
    shape = dict(arch="recurrent", hidden=[6], projection=0, head=[0], delay=2)
    Trainer(TrainOptions(**shape, batch=4, epoch_batches=5, max_epochs=1), *stores, tmp_path / "first").run()
    trainer = Trainer(options(stores, tmp_path / "first", **{**shape, "splice": None}), *stores, tmp_path / "net")
    before = trainer.validate()[0]
    trainer.run()
    assert trainer.records[-1]["valid_loss"] < before


@pytest.mark.parametrize("objective", ["mmi", "smbr"])
def test_exploding_gradients_stop_with_the_batch_saved(stores, first, tmp_path, objective):
    with pytest.raises(RecipeError, match="diverged"):
        Trainer(options(stores, first, objective=objective, rate=1000.0, epoch_batches=200), *stores, tmp_path / "net").run()
    saved = load_file(tmp_path / "net/bad_batch.safetensors")
    np.testing.assert_array_equal(saved["labels"].numpy(), stores[0].labels[saved["frames"].numpy()])
    assert not (tmp_path / "net/model.safetensors").exists()


def test_clipping_bounds_a_step(stores, first, tmp_path):
    moved = []
    for limit in (0.0, 1e-3):
        trainer = Trainer(options(stores, first, rate=1.0, momentum=0.0, nesterov=False, max_norm=limit), *stores, tmp_path / "net")
        before = torch.cat([parameter.detach().flatten().clone() for parameter in trainer.module.parameters()])
        trainer.learn(trainer.feed.draw(), 1.0, 0)
        moved.append(float(torch.linalg.vector_norm(torch.cat([p.detach().flatten() for p in trainer.module.parameters()]) - before)))
    assert moved[0] > 0.01 and moved[1] == pytest.approx(1e-3, rel=1e-3)


def test_options_and_inputs_must_belong_together(stores, first, tmp_path):
    for changes in (dict(denlats=""), dict(dev_denlats=""), dict(init=""), dict(chunk=5), dict(objective="ctc2"), dict(frame_smoothing=1.5)):
        with pytest.raises(RecipeError):
            options(stores, first, **changes).check()
    with pytest.raises(RecipeError, match="another frame store"):
        Trainer(options(stores, first, denlats=options(stores, first).dev_denlats), *stores, tmp_path / "net")
    lattice_store(tmp_path / "others", stores[1], acwt=0.1)
    with pytest.raises(RecipeError, match="differ in acwt"):
        Trainer(options(stores, first, dev_denlats=str(tmp_path / "others")), *stores, tmp_path / "net")
    with pytest.raises(RecipeError, match="bands are hidden"):
        Trainer(options(stores, first, mask_frames=3), *stores, tmp_path / "net")
