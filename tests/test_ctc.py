"""CTC: units, the store, the loss, training of any network over utterances, and what is refused."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_nnet.corpus.datadir import DataDir
from pytorch_nnet.features.cmvn import compute_cmvn_stats
from pytorch_nnet.features.reader import FeatureReader
from pytorch_nnet.frames.ctc_store import CtcStore, make_ctc_store, open_store, write_ctc_store
from pytorch_nnet.frames.store import DIM, FrameStore, write_frame_store
from pytorch_nnet.frames.utterances import TranscribedBatches
from pytorch_nnet.io.archives import write_ark_scp
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.lang.lang_dir import write_lang
from pytorch_nnet.lang.lexicon import Dictionary
from pytorch_nnet.lang.units import UnitLexicon, Units
from pytorch_nnet.models import load_model
from pytorch_nnet.models.architecture import Architecture
from pytorch_nnet.models.facts import require_pdfs, subsampling_of, units_of
from pytorch_nnet.models.model_dir import load_network, make_ensemble
from pytorch_nnet.models.operations import multiplications
from pytorch_nnet.models.registry import build_network
from pytorch_nnet.models.sequence import outputs
from pytorch_nnet.training.ctc import best_path, ctc_loss
from pytorch_nnet.training.dump import dump_posteriors
from pytorch_nnet.training.evaluate import evaluate
from pytorch_nnet.training.options import TrainOptions
from pytorch_nnet.training.trainer import Trainer

UNITS = Units("phones", ("<blk>", "a", "b", "c", "d"))
CMVN = {"norm_means": False, "norm_vars": False}


@pytest.fixture(scope="module")
def lang(tmp_path_factory):
    """Five words; "ab" and "aab" have two pronunciations or a double letter; two that are no speech; silence as a word."""
    folder = tmp_path_factory.mktemp("lang")
    source = folder / "dict"
    source.mkdir()
    for name, text in (("lexicon", "<unk> SPN\n[laughter] LAU\n[silence] SIL\nab a b\nab a d b\naab a a b\nit's c d\nc c\n"),
                       ("silence_phones", "SIL\nSPN\nLAU\n"), ("optional_silence", "SIL\n"), ("nonsilence_phones", "a\nb\nc\nd\n")):
        (source / f"{name}.txt").write_text(text)
    return write_lang(Dictionary.load(source, "<unk>"), "<unk>", folder / "lang")


def test_units_of_a_lang_directory(lang):
    phones, graphemes = (Units.of_lang(lang, kind) for kind in ("phones", "graphemes"))
    assert phones.symbols == ("<blk>", "SPN", "LAU", "a", "b", "c", "d")
    assert graphemes.symbols == ("<blk>", "'", "<unk>", "[laughter]", "a", "b", "c", "i", "s", "t", "|")
    assert phones.label_map != graphemes.label_map and Units.from_facts(json.loads(json.dumps(phones.facts())), file="x") == phones
    with pytest.raises(RecipeError, match="unknown units"):
        Units.of_lang(lang, "words")


def test_transcripts_in_units(lang):
    def spelt(kind, text):
        units = Units.of_lang(lang, kind)
        return " ".join(units.symbols[number] for number in UnitLexicon(units, lang).of_words(text.split()))

    assert spelt("phones", "ab [silence] aab [laughter] tic") == "a b a a b LAU SPN", "the first pronunciation, no silence"
    assert spelt("graphemes", "ab [silence] it's [laughter]") == "| a b | i t ' s | [laughter]"
    assert spelt("graphemes", "tic xyz") == "| t i c | <unk>", "letters that are units spell what the lexicon lacks"
    pairs = UnitLexicon(Units.of_lang(lang, "graphemes"), lang).pronunciations()
    assert [word for word, _ in pairs] == ["<unk>", "[laughter]", "aab", "ab", "c", "it's"], "each spelling once, silence left out"


def rows_of(labels, codes, rng, repeat=(3, 6), noise=0.5):
    track = np.repeat(labels, rng.integers(*repeat, len(labels)))
    return (codes[track] + rng.normal(0, noise, (len(track), DIM))).astype(np.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """30 utterances of 4 to 9 units that show in the features."""
    rng = np.random.default_rng(1)
    codes = rng.normal(0, 2, (5, DIM))

    def utterances():
        for number in range(30):
            units = rng.integers(1, 5, rng.integers(4, 10))
            yield f"u{number:02d}", rows_of(np.append(np.insert(units, 0, 0), 0), codes, rng), units

    return write_ctc_store(tmp_path_factory.mktemp("ctc") / "store", utterances(), units=UNITS, cmvn=CMVN)


def test_store_gives_back_what_was_written(tmp_path):
    rng = np.random.default_rng(2)
    data = [("a", rng.normal(size=(7, DIM)), [1, 1, 2]), ("b", rng.normal(size=(3, DIM)), []), ("c", rng.normal(size=(9, DIM)), [4, 4, 4, 3])]
    made = write_ctc_store(tmp_path / "s", data, units=UNITS, cmvn=CMVN)
    again = open_store(tmp_path / "s")
    assert isinstance(again, CtcStore) and again.identity == made.identity and again.units == UNITS and again.label_map == UNITS.label_map
    for (_, rows, tokens), (_, found, labels) in zip(data, again.utterances()):
        np.testing.assert_allclose(found, rows, rtol=1e-3)
        assert labels.tolist() == tokens
    assert again.needed().tolist() == [4, 0, 6], "a blank between equal neighbours"
    assert again.label_counts().tolist() == [0, 2, 1, 1, 3] and again.num_tokens == 7
    first = (tmp_path / "s/meta.json").read_bytes()
    write_ctc_store(tmp_path / "t", data, units=UNITS, cmvn=CMVN)
    assert (tmp_path / "t/meta.json").read_bytes() == first
    (tmp_path / "s/tokens.u16").write_bytes(np.array([1, 1, 2, 4, 4, 4, 1], "<u2").tobytes())
    with pytest.raises(RecipeError, match="damaged"):
        open_store(tmp_path / "s")
    with pytest.raises(RecipeError, match="no such file|not a store"):
        FrameStore.open(tmp_path / "t")


@pytest.mark.parametrize("tokens, message", [([0], "a blank among"), ([5], "outside the classes")])
def test_tokens_that_cannot_be_are_refused(tmp_path, tokens, message):
    with pytest.raises(RecipeError, match=message):
        write_ctc_store(tmp_path / "s", [("a", np.zeros((3, DIM)), tokens)], units=UNITS, cmvn=CMVN)


@pytest.fixture
def data(tmp_path, lang):
    """A data directory of two utterances with 31 features a frame."""
    rng = np.random.default_rng(3)
    write_ark_scp(tmp_path / "feats.ark", tmp_path / "feats.scp", [(f"s{n}-u", rng.normal(size=(20 + n, DIM)).astype(np.float32)) for n in range(2)])
    made = DataDir(tmp_path, {"s0-u": "s0", "s1-u": "s1"}, {"s0-u": ["ab", "aab"], "s1-u": ["[silence]"]})
    made.feats = dict(line.split() for line in (tmp_path / "feats.scp").read_text().splitlines())
    made.num_frames = {"s0-u": 20, "s1-u": 21}
    made.write()
    compute_cmvn_stats(FeatureReader(tmp_path, None))
    return tmp_path


def test_store_from_transcripts(data, lang, capsys):
    made = make_ctc_store(data, lang.folder, data / "store", kind="graphemes", norm_means=True, norm_vars=False)
    assert [made.units.symbols[number] for number in made.utt_labels(0)] == list("|ab|aab") and len(made.utt_labels(1)) == 0
    assert made.offsets.tolist() == [0, 20, 41] and made.cmvn == {"norm_means": True, "norm_vars": False}
    assert "1 utterances" in capsys.readouterr().err
    with pytest.raises(RecipeError, match="which phones were spoken"):
        make_ctc_store(data, lang.folder, data / "x", kind="graphemes", ali_dir="ali", norm_means=True, norm_vars=False)


def test_store_from_an_alignment_asserts_frame_counts(data, lang, monkeypatch):
    """The phones are what the alignment chose, without silence, and there is one transition-id a frame."""
    from pytorch_nnet.hmm import aligned

    class Aligned:
        def __init__(self, *_):
            self.alignments = {"s0-u": np.zeros(20), "s1-u": np.zeros(19)}

        def __getitem__(self, utt):
            spans = [aligned.Span(name, 0, 1) for name in ("SIL", "a", "d", "b", "SIL", "a", "SIL")]
            return type("Utterance", (), {"alignment": self.alignments[utt], "phones": spans})

    monkeypatch.setattr(aligned, "AlignmentDir", Aligned)
    options = dict(kind="phones", ali_dir="ali", norm_means=True, norm_vars=False)
    with pytest.raises(RecipeError, match="differ in length"):
        make_ctc_store(data, lang.folder, data / "x", **options)
    monkeypatch.setattr(aligned.AlignmentDir, "__init__", lambda self, *_: setattr(self, "alignments", {"s0-u": np.zeros(20), "s1-u": np.zeros(21)}))
    made = make_ctc_store(data, lang.folder, data / "x", **options)
    assert [made.units.symbols[number] for number in made.utt_labels(1)] == ["a", "d", "b", "a"]


def collapse(path):
    return tuple(label for label, _ in itertools.groupby(path) if label)


@settings(max_examples=30, deadline=None)
@given(frames=st.integers(1, 5), target=st.lists(st.integers(1, 2), max_size=4), seed=st.integers(0, 1000))
def test_loss_is_that_of_all_paths(frames, target, seed):
    log_probs = torch.randn(1, frames, 3, generator=torch.Generator().manual_seed(seed)).log_softmax(2)
    total = sum(math.exp(float(sum(log_probs[0, t, label] for t, label in enumerate(path))))
                for path in itertools.product(range(3), repeat=frames) if collapse(path) == tuple(target))
    found = float(ctc_loss(log_probs, torch.tensor([frames]), torch.tensor(target, dtype=torch.int64), torch.tensor([len(target)])))
    assert found == pytest.approx(-math.log(total), abs=1e-4) if total else math.isinf(found)


@given(path=st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_best_path_drops_repetitions_then_blanks(path):
    assert best_path(np.eye(4)[path]) == list(collapse(path))


SMALL = {
    "conv_bigru": dict(arch="conv_bigru", channels=[4], hidden=[12], subsampling=2),
    "conv_plain": dict(arch="conv_bigru", channels=[4, 3], hidden=[12], subsampling=1, layer_norm=False),
    "lstmp": dict(arch="recurrent", hidden=[16], projection=8, head=[0], delay=2),
    "tdnn": dict(arch="tdnn", hidden=[16, 16], offsets=["-1:1:1", "0:1:1"]),
    "cldnn": dict(arch="cldnn", channels=[4, 4], linear=8, hidden=[12], projection=0, head=[0], delay=1),
}


def train(store, folder, **options):
    values = dict(objective="ctc", batch=5, epoch_batches=30, max_epochs=4, rate=0.1, max_norm=1.0, decay=0.7, anneal_epochs=2, seed=1, criterion="uer")
    return Trainer(TrainOptions(**{**values, **options}), store, store, folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["conv_bigru", "lstmp", "tdnn", "cldnn"])
def test_networks_over_utterances_learns_by_ctc(store, tmp_path, name):
    result = train(store, tmp_path / name, **SMALL[name]).run()
    records = [json.loads(line) for line in (tmp_path / name / "train.jsonl").read_text().splitlines()]
    assert result["uer"] < 0.5 and result["units"] == store.num_tokens, (result, records)
    assert records[-1]["train_loss"] < 0.6 * records[0]["train_loss"] and min(record["valid_uer"] for record in records) == result["uer"]
    model = load_model(tmp_path / name)
    step = SMALL[name].get("subsampling", 1)
    assert (model.units, model.label_map, model.subsampling) == (UNITS, UNITS.label_map, step)
    assert (units_of(tmp_path / name), subsampling_of(tmp_path / name)) == (UNITS, step)
    for _, rows, _ in store.utterances([0, 1]):
        posteriors = model.posteriors(rows)
        assert posteriors.shape == (-(-len(rows) // step), 5)
        np.testing.assert_allclose(posteriors.sum(1), 1, atol=1e-5)
    assert 0.2 < model.priors[0] < 0.95, "the blank's mean posterior"
    assert evaluate([model], store)[0]["uer"] == result["uer"]


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_weights(store, tmp_path, monkeypatch):
    options = dict(**SMALL["conv_bigru"], max_epochs=3, anneal_epochs=1, epoch_batches=12, dropout=0.2)
    train(store, tmp_path / "whole", **options).run()
    validate = Trainer.validate

    def killed(self):
        if self.schedule.state.epoch == 1:
            raise KeyboardInterrupt
        return validate(self)

    monkeypatch.setattr(Trainer, "validate", killed)
    with pytest.raises(KeyboardInterrupt):
        train(store, tmp_path / "killed", **options).run()
    monkeypatch.undo()
    train(store, tmp_path / "killed", **options).run()
    for name in ("model.safetensors", "prior_counts", "eval.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow
def test_loss_of_a_batch_is_that_of_its_utterances_alone(store, tmp_path):
    trainer = train(store, tmp_path / "x", **SMALL["conv_bigru"])
    trainer.module.eval()
    piece = trainer.feed.draw()
    assert isinstance(trainer.feed.logits(trainer.module, piece), torch.Tensor)
    together = float(trainer.objective.loss(trainer.logits(piece), piece).detach())
    sums = np.zeros(4)
    for row, (begin, end) in enumerate(itertools.pairwise([0, *piece.label_lengths.cumsum(0).tolist()])):
        logits = trainer.module.utterance_logits(piece.inputs[row, :piece.frames[row]])
        sums += trainer.objective.measure(logits.detach(), piece.labels[begin:end], torch.arange(int(piece.frames[row])))
    assert together == pytest.approx(sums[0] / sums[1], rel=1e-5) and sums[1] == int(outputs(piece.frames, 2).sum())


def test_batches_hold_every_chosen_utterance_once_a_pass(store):
    chosen = [index for index in range(store.num_utts) if index % 3]
    sampler = TranscribedBatches(store, 4, 1, 0, chosen)
    lengths = np.diff(store.offsets)
    seen = []
    while len(seen) < len(chosen):
        piece = sampler.draw()
        targets = piece.labels.split(piece.label_lengths.tolist())
        for frames, target in zip(piece.frames.tolist(), targets):
            seen.append(next(index for index in chosen if lengths[index] == frames and store.utt_labels(index).tolist() == target.tolist()))
        assert piece.size == int(piece.frames.sum())
    assert sorted(seen) == chosen


def crowded(store, folder, count):
    """A copy of the store whose first `count` utterances have more units than outputs, once repetitions are counted."""
    def utterances():
        for index, rows, labels in store.utterances():
            yield store.utts[index], rows, np.ones((len(rows) + 2) // 2 + 1, int) if index < count else labels

    return write_ctc_store(folder, utterances(), units=UNITS, cmvn=CMVN)


def test_targets_longer_than_the_outputs_are_listed_and_left_out(store, tmp_path, capsys):
    """One of 30 is below the threshold; its target fits the frames, not with the blanks between its equal units."""
    one = crowded(store, tmp_path / "one", 1)
    trainer = train(one, tmp_path / "x", **SMALL["conv_plain"], max_epochs=1, anneal_epochs=0, epoch_batches=8)
    result = trainer.run()
    frames = int(one.offsets[1])
    assert one.needed()[0] == 2 * ((frames + 2) // 2 + 1) - 1 > frames
    assert (tmp_path / "x/too_short_train.txt").read_text() == f"u00 {one.needed()[0]} {frames}\n" == (tmp_path / "x/too_short_dev.txt").read_text()
    assert "1 of 30 utterances" in capsys.readouterr().err and 0 not in trainer.objective.chosen
    assert math.isfinite(result["ctc_loss"]) and result["outputs"] == one.num_frames - frames and result["units"] == one.num_tokens
    with pytest.raises(RecipeError, match="targets longer than the network's outputs"):
        train(crowded(store, tmp_path / "two", 2), tmp_path / "y", **SMALL["conv_plain"])
    with pytest.raises(RecipeError, match="targets longer"):
        train(store, tmp_path / "z", arch="conv_bigru", channels=[2], hidden=[3], subsampling=11)


def test_an_exploding_loss_stops_the_training_with_its_batch(store, tmp_path):
    with pytest.raises(RecipeError, match="training diverged"):
        train(store, tmp_path / "x", **SMALL["conv_plain"], rate=1000.0, max_norm=0).run()
    assert (tmp_path / "x/bad_batch.safetensors").exists()


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_an_utterance_has_the_same_outputs_in_a_batch(frames, step):
    torch.manual_seed(1)
    network = build_network(Architecture("conv_bigru", channels=[3, 4], hidden=[5], subsampling=step), 6).double().eval()
    rows = torch.zeros(2, 40, DIM, dtype=torch.float64)
    rows[0, :frames], rows[1] = torch.randn(frames, DIM), torch.randn(40, DIM)
    logits, _ = network(rows, torch.tensor([frames, 40]))
    assert logits.shape[1] == outputs(40, step)
    torch.testing.assert_close(logits[0, :outputs(frames, step)], network.utterance_logits(rows[0, :frames]), rtol=0, atol=1e-12)
    for parameter in network.parameters():  # that biases matter: zeros beyond the end are not what they make of them
        torch.nn.init.normal_(parameter)
    torch.testing.assert_close(network(rows, torch.tensor([frames, 40]))[0][0, :outputs(frames, step)],
                               network.utterance_logits(rows[0, :frames]), rtol=0, atol=1e-12)


def test_multiplications_are_those_of_a_frame():
    whole, half = (build_network(Architecture("conv_bigru", channels=[3], hidden=[5], subsampling=step), 6) for step in (1, 2))
    weights = sum(parameter.numel() for name, parameter in whole.named_parameters() if "weight" in name and "norm" not in name and "conv" not in name)
    counted = 16 * 3 * 11 * 11 + weights + 3 * 5 * 2
    assert (multiplications(whole, DIM), multiplications(half, DIM)) == (counted, counted // 2)


@pytest.fixture(scope="module")
def frame_store(tmp_path_factory, store):
    utterances = ((store.utts[index], rows, np.zeros(len(rows), int)) for index, rows, _ in store.utterances())
    return write_frame_store(tmp_path_factory.mktemp("frames") / "store", utterances, num_classes=5, label_map="map", cmvn=CMVN)


@pytest.mark.parametrize("options, message", [
    (dict(arch="vision"), "a network over utterances"), (dict(arch="recurrent", chunk=20), "whole utterances"),
    (dict(criterion="fer"), "bad value"), (dict(objective="ctcc"), "bad value"), (dict(objective="frames", criterion="loss"), "another kind of store"),
    (dict(arch="recurrent", soft_labels="x", soft_weight=0.5), "no labels of frames to blend"),
    (dict(arch="conv_bigru", subsampling=12), "out of range"), (dict(arch="conv_bigru", channels=[0]), "at least one|impossible"),
])
def test_what_does_not_go_together_is_refused(store, tmp_path, options, message):
    with pytest.raises(RecipeError, match=message):
        train(store, tmp_path / "x", **{"arch": "conv_bigru", **options})


def test_ctc_networks_and_hybrids_are_not_mixed(store, frame_store, tmp_path):
    with pytest.raises(RecipeError, match="another kind of store"):
        train(frame_store, tmp_path / "x", **SMALL["tdnn"])
    with pytest.raises(RecipeError, match="an output for each frame"):
        train(frame_store, tmp_path / "x", **SMALL["conv_bigru"], objective="frames", criterion="loss")
    short = dict(max_epochs=1, anneal_epochs=0, epoch_batches=1)
    for name, given_, options in (("ctc", store, {}), ("half", store, {}), ("pdfs", frame_store, dict(objective="frames", criterion="loss"))):
        shape = SMALL["conv_bigru" if name == "half" else "tdnn"]
        train(given_, tmp_path / name, **shape, **options, **short).run()
    with pytest.raises(RecipeError, match="differ in label_map"):
        make_ensemble(tmp_path / "ens", [str(tmp_path / "ctc"), str(tmp_path / "pdfs")])
    with pytest.raises(RecipeError, match="differ in subsampling"):
        make_ensemble(tmp_path / "ens", [str(tmp_path / "ctc"), str(tmp_path / "half")])
    both = make_ensemble(tmp_path / "ens", [str(tmp_path / "ctc"), str(tmp_path / "ctc")])
    assert both.units == UNITS and units_of(tmp_path / "ens") == UNITS and evaluate([both], store)[0] == evaluate([load_model(tmp_path / "ctc")], store)[0]
    for model, other in (("ctc", frame_store), ("pdfs", store)):
        with pytest.raises(RecipeError, match="differ in label_map"):
            evaluate([load_model(tmp_path / model)], other)
    with pytest.raises(RecipeError, match="differ in label_map"):
        dump_posteriors(tmp_path / "ctc", frame_store.path, tmp_path / "soft", nj=1, top_c=3, mass=0.99, cmd="utils/run.py")
    with pytest.raises(RecipeError, match="cannot align states"):
        require_pdfs(tmp_path / "ctc")
    require_pdfs(tmp_path / "pdfs")


@pytest.mark.parametrize("change, message", [({"subsampling": 3}, "differ"), ({"subsampling": 0}, "bad entry"), ({"units": []}, "bad entry"),
                                             ({"units": {"kind": "phones", "symbols": ["<blk>", "a"]}}, "units and classes")])
def test_a_damaged_info_is_noticed(store, tmp_path, change, message):
    train(store, tmp_path / "x", **SMALL["tdnn"], max_epochs=1, anneal_epochs=0, epoch_batches=1).run()
    path = tmp_path / "x/info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(RecipeError, match=message):
        load_network(tmp_path / "x")
