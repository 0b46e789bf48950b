"""Schedules, losses, exact resume, the whole of a small training, students, the dump."""

import json
import math
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

import pytorch_nnet.training.trainer as trainer_module
from pytorch_nnet.frames.softlabels import SoftLabelStore, SparseLabels, merge_shards
from pytorch_nnet.frames.store import DIM, write_frame_store
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.io.launcher import DEFAULT_CMD
from pytorch_nnet.models import load_model
from pytorch_nnet.training.dump import dump_posteriors, dump_shard
from pytorch_nnet.training.evaluate import evaluate
from pytorch_nnet.training.losses import SparseCrossEntropy, blended_loss
from pytorch_nnet.training.options import TrainOptions
from pytorch_nnet.training.processes import Processes
from pytorch_nnet.training.schedules import Schedule
from pytorch_nnet.training.sgd import Momentum
from pytorch_nnet.training.trainer import Trainer

CLASSES = 5
ROOT = Path(__file__).resolve().parents[1]


def follow(options, values):
    """Runs a schedule over scripted values: (rate after the epoch, event) for each, up to the stop."""
    schedule, seen = Schedule(options), []
    for value in values:
        decision = schedule.update(value)
        seen.append((round(schedule.state.rate, 6), decision.event))
        if decision.stop:
            break
    return seen


def test_cnn_schedule():
    options = TrainOptions(rate=1.0, decay=0.7, patience=5, min_rate=0.3)
    # Four stale epochs, then a better one: the count starts anew. Equal is not better.
    values = [3, 2.5, 2.5, 2.6, 2.7, 2.5, 2.0, 2.1, 2.0, 2.0, 2.0, 2.2, 1.0] + [1.0] * 20
    seen = follow(options, values)
    assert [event for _, event in seen[:13]] == ["best"] * 2 + [""] * 4 + ["best"] + [""] * 4 + ["decay", "best"]
    assert [rate for rate, _ in seen[10:13]] == [1.0, 0.7, 0.7]
    assert [event for _, event in seen[13:18]] == ["", "", "", "", "decay"]
    # 0.7^4 is the first power below 0.3.
    assert seen[-1] == (0.2401, "decay stop") and len(seen) == 13 + 15


def test_lstm_schedule_rolls_back():
    options = TrainOptions(rate=0.9, decay=2 / 3, patience=3, min_rate=1e-5, rollback=True, criterion="fer")
    seen = follow(options, [0.5, 0.6, 0.7, 0.8, 0.4, math.nan, 0.4, 0.4])
    assert [event for _, event in seen] == ["best", "", "", "decay rollback", "best", "", "", "decay rollback"]
    assert [rate for rate, _ in seen][3] == 0.6 and seen[-1][0] == 0.4


def test_count_of_stale_epochs_may_go_on_after_a_decay():
    options = TrainOptions(rate=1.0, decay=0.5, patience=2, min_rate=1e-9, restart_count=False)
    rates = [rate for rate, _ in follow(options, [1, 1, 1, 1, 1, 0.5, 1, 1])]
    assert rates == [1, 1, 0.5, 0.25, 0.125, 0.125, 0.125, 0.0625]


def test_limited_epochs_end_annealed():
    options = TrainOptions(rate=1.0, decay=0.5, patience=5, max_epochs=5, anneal_epochs=3, rollback=True)
    seen = follow(options, [5, 4, 3, 2, 2.5, 1])
    assert seen == [(1, "best"), (1, "best"), (0.5, "best decay"), (0.25, "best decay"), (0.125, "decay rollback stop")]


def test_schedule_state_survives_json():
    options = TrainOptions(rate=1.0, patience=2)
    one, two = Schedule(options), Schedule(options)
    for value in (3, 4):
        one.update(value)
    two.restore(json.loads(json.dumps(one.dump())))
    assert [one.update(5), one.update(1)] == [two.update(5), two.update(1)]


def soft_labels():
    return SparseLabels(torch.tensor([0, 0, 1, 2, 2, 2]), torch.tensor([3, 1, 2, 0, 1, 4]),
                        torch.tensor([0.7, 0.2, 0.5, 0.4, 0.3, 0.29]))


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("renormalize", [False, True])
def test_blended_loss_is_equation_1(weight, renormalize):
    torch.manual_seed(0)
    logits = torch.randn(3, CLASSES, dtype=torch.double, requires_grad=True)
    labels, soft = torch.tensor([3, 0, 4]), soft_labels()
    teacher = torch.zeros(3, CLASSES, dtype=torch.double)
    teacher[soft.rows, soft.classes] = soft.probs.double()
    if renormalize:
        teacher /= teacher.sum(1, keepdim=True)
    log_q = torch.log_softmax(logits, 1)
    expected = (-weight * (teacher * log_q).sum(1) - (1 - weight) * log_q[range(3), labels]).mean()
    found = blended_loss(logits, labels, soft, weight, renormalize)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (found, expected)))


def test_sparse_cross_entropy_gradcheck():
    # A repeated pair, as label and teacher give.
    rows, classes = torch.tensor([0, 0, 1, 2, 2]), torch.tensor([3, 3, 2, 0, 1])
    weights = torch.tensor([0.5, 0.3, 1.0, 0.2, 0.1], dtype=torch.double)
    logits = torch.randn(3, CLASSES, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: SparseCrossEntropy.apply(x, rows, classes, weights), logits)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_equals_torch(nesterov):
    torch.manual_seed(0)
    ours, theirs = torch.nn.Linear(4, 3).double(), torch.nn.Linear(4, 3).double()
    theirs.load_state_dict(ours.state_dict())
    step = Momentum(ours, 0.9, nesterov)
    reference = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, nesterov=nesterov)
    for _ in range(5):
        x, y = torch.randn(8, 4, dtype=torch.double), torch.randint(3, (8,))
        for network in (ours, theirs):
            cross_entropy(network(x), y).backward()
        step.step(0.1)
        reference.step()
        reference.zero_grad()
    torch.testing.assert_close(dict(ours.named_parameters()), dict(theirs.named_parameters()))


def make_store(path, seed=0, utts=6, label_map="tree", noise=0.3):
    """Frames whose class shows in a few channels."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(42).standard_normal((CLASSES, DIM))

    def utterances():
        for index in range(utts):
            labels = np.repeat(rng.integers(0, CLASSES, 8), 5)
            yield f"utt{index}", (patterns[labels] + noise * rng.standard_normal((40, DIM))).astype(np.float32), labels

    return write_frame_store(path, utterances(), num_classes=CLASSES, label_map=label_map,
                             cmvn={"norm_means": True, "norm_vars": True})


@pytest.fixture
def stores(tmp_path):
    return make_store(tmp_path / "train"), make_store(tmp_path / "dev", seed=1, utts=2)


def dump_here(model, store, path):
    """The soft labels of a model on a store, as dump_posteriors makes them, without starting a process."""
    shards = Path(f"{path}.shards")
    dump_shard(1, 1, model, store.path, shards, CLASSES, 0.99, "cpu")
    teacher = {"name": Path(model).name, "sha256": load_model(model).sha256, "weight": 1.0}
    return merge_shards([shards / "shard.1"], path, store, teachers=[teacher], max_classes=CLASSES, mass_cut=0.99)


def tiny_options(**changes):
    return TrainOptions(**{**dict(arch="blstm", hidden=[4, 4], batch=8, epoch_batches=3, max_epochs=4, rate=0.1,
                                  patience=1,
                                  rollback=True, criterion="fer", nesterov=False), **changes})


class Killed(Exception):
    pass


@pytest.mark.parametrize("arch, shape", [("blstm", dict(hidden=[4, 4])),
                                         ("vision", dict(channels=[2, 2, 2], hidden=[4, 4]))])
def test_resume_is_bitwise(tmp_path, stores, monkeypatch, arch, shape):
    options = tiny_options(arch=arch, **shape)
    Trainer(options, *stores, tmp_path / "whole").run()
    learn, steps = Trainer.learn, []

    def dying(self, *arguments):
        steps.append(1)
        if len(steps) == 8:  # in the third epoch
            raise Killed
        return learn(self, *arguments)

    monkeypatch.setattr(Trainer, "learn", dying)
    with pytest.raises(Killed):
        Trainer(options, *stores, tmp_path / "cut").run()
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    torch.manual_seed(12345)  # chance elsewhere must not matter
    resumed = Trainer(options, *stores, tmp_path / "cut")
    resumed.run()
    assert len(steps) == 8 + 6  # epochs three and four only
    whole, cut = ((tmp_path / name) for name in ("whole", "cut"))
    assert (whole / "model.safetensors").read_bytes() == (cut / "model.safetensors").read_bytes()
    records = [[{**json.loads(line), "seconds": 0} for line in (folder / "train.jsonl").read_text().splitlines()]
               for folder in (whole, cut)]
    assert records[0] == records[1] and [r["epoch"] for r in records[0]] == [1, 2, 3, 4]
    assert records[0][0].keys() == {"epoch", "batches", "frames", "lr", "train_loss", "valid_loss", "valid_fer",
                                    "seconds", "event"}


def test_finished_training_is_left_alone_and_changed_options_start_anew(tmp_path, stores, capsys):
    first = Trainer(tiny_options(), *stores, tmp_path / "net").run()
    model = (tmp_path / "net" / "model.safetensors").read_bytes()
    assert Trainer(tiny_options(threads=1), *stores, tmp_path / "net").run() == first
    assert "already finished" in capsys.readouterr().out
    Trainer(tiny_options(rate=0.05), *stores, tmp_path / "net").run()
    assert "rate changed" in capsys.readouterr().out
    assert (tmp_path / "net" / "model.safetensors").read_bytes() != model


def test_rollback_restores_the_best_weights_and_momentum(tmp_path, stores):
    trainer = Trainer(tiny_options(), *stores, tmp_path / "net")
    trainer.validate = iter([(1.0, 0.5), (1.0, 0.9)]).__next__
    progress = trainer_module.Progress("test")
    trainer.epoch(progress)
    weights = trainer_module.clone(trainer.module.state_dict())
    velocity = trainer_module.clone(trainer.momentum.velocity)
    trainer.epoch(progress)
    assert trainer.records[-1]["event"] == "decay rollback" and trainer.schedule.state.rate == pytest.approx(0.07)
    for group, now in ((weights, trainer.module.state_dict()), (velocity, trainer.momentum.velocity)):
        assert all(torch.equal(group[name], now[name]) for name in group)


@pytest.mark.slow
@pytest.mark.parametrize("arch, shape", [
    ("dnn", dict(hidden=[32], splice=1)), ("vision", dict(channels=[8, 8, 8], hidden=[32])),
    ("sainath", dict(channels=[8, 8], hidden=[32])), ("blstm", dict(hidden=[16]))])
def test_every_network_overfits_a_small_set(tmp_path, stores, arch, shape):
    options = tiny_options(arch=arch, batch=32, epoch_batches=40, max_epochs=4, anneal_epochs=2, decay=0.3, rate=0.02,
                           **shape)
    result = Trainer(options, stores[0], stores[0], tmp_path / "net").run()
    assert result["fer"] < 0.05 and result["frames"] == 240
    model = load_model(tmp_path / "net")
    assert evaluate([model], stores[0])[0]["fer"] == result["fer"]
    np.testing.assert_array_equal(model.priors * 240, stores[0].label_counts())
    assert model.config["arch"] == arch and model.label_map == "tree" and model.cmvn["norm_vars"]
    assert model.parameters == sum(parameter.numel() for parameter in model.module.parameters())


@pytest.mark.parametrize("arch, shape", [("blstm", dict(hidden=[4, 4])), ("vision", dict(channels=[2, 2, 2], hidden=[4, 4])),
                                         ("sainath", dict(channels=[2, 2], hidden=[4]))])
def test_evaluation_and_validation_by_utterance_equal_those_by_window(tmp_path, stores, arch, shape):
    trainer = Trainer(tiny_options(arch=arch, **shape, max_epochs=1), *stores, tmp_path / "net")
    result = trainer.run()
    loss, fer = trainer.validate()
    trainer.options.valid_frames = 10_000  # more than there are: all of them, as windows
    assert trainer.validate() == (pytest.approx(loss, rel=1e-5), pytest.approx(fer))
    assert result["fer"] == pytest.approx(fer) and result["cross_entropy"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path, stores):
    """torchrun's two CPU processes (gloo), each with half of every batch, against one process."""
    options = ["--arch", "vision", "--channels", "2,2,2", "--hidden", "8", "--batch", "16", "--epoch-batches", "5", "--max-norm", "1",
               "--rate", "0.1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def train(folder, epochs, processes=1):
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
        done = subprocess.run([sys.executable, *launcher, str(ROOT / "steps/train_nnet"), *options, "--max-epochs", str(epochs), "train",
                               "dev", folder], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        records = [json.loads(line) for line in (tmp_path / folder / "train.jsonl").read_text().splitlines()]
        return done, [[record[key] for key in ("lr", "train_loss", "valid_loss", "valid_fer")] for record in records]

    whole, alone = train("alone", 4)
    done, both = train("both", 4, processes=2)
    assert done.stdout.count("epoch 4:") == done.stderr.count(": FER") == whole.stderr.count(": FER") == 1, "one process speaks"
    np.testing.assert_allclose(both, alone, rtol=1e-4)
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("alone", "both")]
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-5)
    assert not list((tmp_path / "both").glob("bad_batch*"))


def test_a_batch_is_shared_out_evenly():
    shares = [Processes(rank, 4).share(12) for rank in range(4)]
    assert [list(range(12))[share] for share in shares] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    with pytest.raises(RecipeError, match="shared out"):
        Processes(0, 4).share(10)
    assert [list(range(7))[Processes(rank, 3).turns] for rank in range(3)] == [[0, 3, 6], [1, 4], [2, 5]]


@pytest.mark.slow
@pytest.mark.parametrize("arch, shape", [("dnn", dict(hidden=[8], splice=1)), ("vision", dict(channels=[4, 4, 4], hidden=[8])),
                                         ("sainath", dict(channels=[4, 4], hidden=[8])), ("blstm", dict(hidden=[8, 8]))])
def test_bfloat16_trains_every_network_like_float32(tmp_path, stores, arch, shape):
    loss = {}
    for precision in ("float32", "bfloat16"):
        options = tiny_options(arch=arch, **shape, batch=32, epoch_batches=20, max_epochs=2, rate=0.02, precision=precision)
        trainer = Trainer(options, *stores, tmp_path / precision)
        trainer.run()
        loss[precision] = trainer.records[-1]["train_loss"]
        weights = load_file(tmp_path / precision / "model.safetensors")
        assert {weight.dtype for weight in weights.values()} == {torch.float32}
    assert loss["bfloat16"] == pytest.approx(loss["float32"], rel=0.05) and loss["bfloat16"] != loss["float32"]


def test_divergence_stops_with_the_batch_saved(tmp_path, stores):
    with pytest.raises(RecipeError, match="diverged"):
        Trainer(tiny_options(arch="dnn", hidden=[8, 8], splice=0, rate=500.0, epoch_batches=200), *stores,
                tmp_path / "net").run()
    saved = load_file(tmp_path / "net" / "bad_batch.safetensors")
    np.testing.assert_array_equal(saved["windows"].numpy(), stores[0].windows(saved["frames"].numpy()))
    assert not (tmp_path / "net" / "model.safetensors").exists()


def test_gradients_are_clipped():
    network = torch.nn.Linear(2, 2)
    momentum = Momentum(network, 0.9, False)
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    assert momentum.clip(0.0) == pytest.approx(24 ** 0.5)
    momentum.clip(1.0)
    assert momentum.clip(0.0) == pytest.approx(1.0)


def test_inputs_must_belong_together(tmp_path, stores):
    with pytest.raises(RecipeError, match="differ in label_map"):
        Trainer(tiny_options(), stores[0], make_store(tmp_path / "x", label_map="another"), tmp_path / "net")
    for options in (dict(soft_weight=0.5), dict(criterion="wer"), dict(decay=2.0), dict(anneal_epochs=9)):
        with pytest.raises(RecipeError):
            tiny_options(**options).check()


@pytest.mark.slow
def test_teacher_dump_student(tmp_path, stores, run, monkeypatch):
    """The commands as run.sh calls them: in this process, but for the one that must fail without a traceback."""
    monkeypatch.chdir(tmp_path)
    shape = dict(arch="dnn", hidden=[8], splice=1, batch=16, epoch_batches=20, max_epochs=2)
    for name, seed in (("a", 1), ("b", 2)):
        Trainer(TrainOptions(**shape, seed=seed), *stores, tmp_path / name).run()
    arguments = [f"--{key.replace('_', '-')}={value[0] if isinstance(value, list) else value}" for key,
                 value in shape.items()]
    student = ["steps/train_nnet", *arguments, "--soft-labels", "soft", "--soft-weight", 0.5]
    for command in (["steps/make_ensemble", "both", "a", "b:3"],
                    ["steps/dump_posteriors", "--nj", 2, "--top-c", 3, "both", "train", "soft"],
                    [*student, "--top-c", 2, "train", "dev", "student"],
                    ["steps/eval_nnet", "dev", "both", "a"],
                    ["steps/time_nnets", "--rounds", 1, "time.json", "dev", "a", "both"]):
        runpy.run_path(str(ROOT / command[0]))["main"]([str(word) for word in command[1:]])
    meta = json.loads((tmp_path / "soft" / "meta.json").read_text())
    assert [(t["name"], t["weight"]) for t in meta["teachers"]] == [("a", 0.25), ("b", 0.75)]
    assert meta["frame_store"] == stores[0].identity and not (tmp_path / "soft.shards").exists()
    teacher, soft = load_model(tmp_path / "both"), SoftLabelStore.open(tmp_path / "soft")
    for index, features, _ in stores[0].utterances():
        first = soft.gather(np.arange(stores[0].num_frames)[stores[0].utt_slice(index)], 1)
        np.testing.assert_array_equal(first.classes.numpy(), teacher.posteriors(features).argmax(1))
    assert json.loads((tmp_path / "both" / "eval.json").read_text())["frames"] == 80
    alone = [evaluate([load_model(tmp_path / name)], stores[1])[0] for name in ("both", "a")]
    together = evaluate([load_model(tmp_path / name) for name in ("both", "a")], stores[1])
    assert together == alone and alone[0] != alone[1]
    assert len(json.loads((tmp_path / "time.json").read_text())["seconds_per_frame"]) == 2
    done = run(*student, "--top-c", 9, "train", "dev", "x")
    assert done.returncode == 1 and "more soft labels wanted" in done.stderr and "Traceback" not in done.stderr
    with pytest.raises(RecipeError, match="another frame store"):
        Trainer(TrainOptions(**shape, soft_labels=str(tmp_path / "soft"), soft_weight=0.5), stores[1], stores[1],
                tmp_path / "x")


@pytest.mark.slow
def test_student_learns_from_the_teacher_alone(tmp_path, stores):
    """With lambda 1 the hard labels do not matter: a student of false labels still learns the teacher's classes."""
    shape = dict(arch="dnn", hidden=[32], splice=1, batch=32, epoch_batches=60, max_epochs=2, rate=0.05, patience=9)
    Trainer(TrainOptions(**shape), *stores, tmp_path / "teacher").run()
    dump_posteriors(tmp_path / "teacher", tmp_path / "train", tmp_path / "soft", nj=1, cmd=DEFAULT_CMD, top_c=5,
                    mass=0.99)
    stores[0].labels[:] = 0
    student = Trainer(TrainOptions(**shape, seed=7, soft_labels=str(tmp_path / "soft"), soft_weight=1.0, top_c=3),
                      *stores, tmp_path / "student")
    assert student.run()["fer"] < 0.2
