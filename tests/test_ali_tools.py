"""Programs that show models and alignments, on planted alignments with known answers."""

import json
import re

import numpy as np
import pytest

from pytorch_nnet.corpus.datadir import DataDir, Segment
from pytorch_nnet.hmm import ali_stats, compare, gmm
from pytorch_nnet.hmm.aligned import AlignmentDir
from pytorch_nnet.hmm.model import AcousticModel, FeatureOptions
from pytorch_nnet.hmm.show import columns, padded, show
from pytorch_nnet.hmm.topology import read_topology
from pytorch_nnet.io.archives import write_ali
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.io.kaldi_tree import Tree, monophone_tree
from pytorch_nnet.lang.lang_dir import LangDir
from pytorch_nnet.scoring.info import describe, features
from pytorch_nnet.scoring.wer import Counts, write_wer
from toy_hmm import WORDS, make_lang

# utterance -> (recording, start, end in seconds; transcript; phones with their frames)
UTTS = {
    "c1-A_0100": ("c1-A", 1.0, 1.62, "one three", "SIL 10 a 4 b 6 SIL 5 b 3 c 7 a 5 SIL 20"),
    "c1-A_0200": ("c1-A", 2.0, 2.33, 'say"it"', "c 12 d 8 SIL 11"),
    "c1-B_0050": ("c1-B", 0.5, 1.0, "two", "SIL 8 c 20 d 20"),
    "c1-B_0060": ("c1-B", 0.6, 0.8, "two", "c 9 d 9"),  # overlaps the one before
    "c1-B_0200": ("c1-B", 2.0, 2.02, "two", "")}  # too short to align


def path(model, lang, phones: str) -> np.ndarray:
    """Transition-ids of phones with durations; the first state has the frames that the shortest way leaves over."""
    table, words, ids = model.table, phones.split(), []
    arrays = table.tables()
    for name, frames in zip(words[::2], map(int, words[1::2])):
        phone, states = lang.phones[name], [0, 3, 4, 5] if name == "SIL" else [0, 1, 2, 3]
        for here, there in zip(states, states[1:]):
            targets = [target for target, _ in table.topology.states(phone)[here].transitions]
            first = np.flatnonzero((arrays["phone"] == phone) & (arrays["hmm_state"] == here))[0]
            loops = frames - 3 if here == 0 else 0
            ids += [first + targets.index(there)] + [first + targets.index(here)] * loops
    return np.array(ids, np.int32)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder of data, lang, `ali` and `other_tree`, and a function that plants more alignment directories."""
    folder = tmp_path_factory.mktemp("view")
    lang = LangDir(make_lang(folder, {**WORDS, 'say"it"': "c d"}))
    data = DataDir(folder / "data", {})
    for utt, (recording, start, end, words, _) in UTTS.items():
        data.utt2spk[utt], data.text[utt] = recording, words.split()
        data.segments[utt], data.channel[recording] = Segment(recording, start, end), ("c1", recording[-1])
        data.wav[recording] = "c1.wav"
    data.write()
    topology = read_topology(lang.path("topo"))
    tree = monophone_tree({int(phone): topology.num_pdf_classes(phone) for phone in topology.phones})
    other = Tree.from_bytes(tree.to_bytes())
    for leaf in other.leaves():
        leaf.pdf = tree.num_pdfs - 1 - leaf.pdf

    def plant(name, changes=(), failed="c1-B_0200 no path within the beams\n", model=None):
        model = model or AcousticModel.create(topology, tree)
        phones = {**{utt: value[-1] for utt, value in UTTS.items()}, **dict(changes)}
        model.save(folder / name)
        write_ali(folder / name / "ali.1.gz", {utt: path(model, lang, value) for utt, value in phones.items() if value})
        (folder / name / "num_jobs").write_text("1\n")
        (folder / name / "failed").write_text(failed)
        return folder / name

    plant("ali")
    plant("other_tree", model=AcousticModel.create(topology, other))
    return folder, plant


def read_textgrid(path):
    """{tier: [(start, end, text)]} of a long TextGrid, after checking what Praat demands of one."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""] and lines[5] == "tiers? <exists>"
    values = [re.fullmatch(r"\s*(\w+(?: \w+)*|intervals: size) = (.*?)\s*", line) for line in lines[3:]]
    fields = iter([(match[1], match[2]) for match in values if match])

    def take(name):
        key, value = next(fields)
        assert key == name
        if not value.startswith('"'):
            return float(value)
        assert re.fullmatch(r'"(?:[^"]|"")*"', value), value
        return value[1:-1].replace('""', '"')

    low, high, tiers = take("xmin"), take("xmax"), {}
    for _ in range(int(take("size"))):
        assert take("class") == "IntervalTier"
        name = take("name")
        assert (take("xmin"), take("xmax")) == (low, high) and low == 0
        rows, now = [], low
        for _ in range(int(take("intervals: size"))):
            start, end, text = take("xmin"), take("xmax"), take("text")
            assert start == now < end, (name, start, now, end)
            rows.append((start, end, text))
            now = end
        assert now == high
        tiers[name] = rows
    assert next(fields, None) is None
    return tiers


@pytest.mark.slow
def test_textgrids_hold_the_recording_without_gaps(place, run, tmp_path):
    folder, _ = place
    done = run("utils/ali_to_textgrid", folder / "data", folder / "lang", folder / "ali", "grids")
    assert done.returncode == 0 and "2 files" in done.stdout and "c1-B_0200" in done.stderr, done.stderr
    assert {file.name for file in (tmp_path / "grids").iterdir()} == {"c1-A.TextGrid", "c1-B.TextGrid"}
    tiers = read_textgrid(tmp_path / "grids" / "c1-A.TextGrid")
    assert tiers["words"] == [(0, 1.1, ""), (1.1, 1.2, "one"), (1.2, 1.25, ""), (1.25, 1.4, "three"), (1.4, 2.0, ""),
                              (2.0, 2.2, 'say"it"'), (2.2, 2.33, "")]
    assert [row[2] for row in tiers["phones"]] == ["", *"SIL a b SIL b c a SIL".split(), "", "c", "d", "SIL", ""]
    assert tiers["phones"][2] == (1.1, 1.14, "a") and tiers["phones"][-1] == (2.31, 2.33, "")


@pytest.mark.slow
def test_overlapping_utterances_have_tiers_of_their_own(place, run, tmp_path):
    folder, _ = place
    run("utils/ali_to_textgrid", folder / "data", folder / "lang", folder / "ali", "grids")
    tiers = read_textgrid(tmp_path / "grids" / "c1-B.TextGrid")
    assert list(tiers) == ["words", "phones", "words 2", "phones 2"]
    assert [row for row in tiers["words 2"] if row[2]] == [(0.6, 0.78, "two")]
    assert [row for row in tiers["words"] if row[2]] == [(0.58, 0.98, "two")]
    assert tiers["words"][-1][1] == 2.02  # the recording's last segment, though it failed


@pytest.mark.slow
def test_textgrids_of_utterances_start_at_zero(place, run, tmp_path):
    folder, _ = place
    done = run("utils/ali_to_textgrid", "--per", "utterance", folder / "data", folder / "lang", folder / "ali", "grids")
    assert "4 files" in done.stdout
    tiers = read_textgrid(tmp_path / "grids" / "c1-A_0200.TextGrid")
    assert tiers == {"words": [(0, 0.2, 'say"it"'), (0.2, 0.33, "")],
                     "phones": [(0, 0.12, "c"), (0.12, 0.2, "d"), (0.2, 0.31, "SIL"), (0.31, 0.33, "")]}
    done = run("utils/ali_to_textgrid", "--per", "word", folder / "data", folder / "lang", folder / "ali", "grids")
    assert done.returncode == 1 and "recording or utterance" in done.stderr


@pytest.mark.slow
def test_ctm_agrees_with_the_textgrid(place, run, tmp_path):
    folder, _ = place
    done = run("utils/ali_to_ctm", "--write", "words", folder / "data", folder / "lang", folder / "ali", "ctm")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ctm").read_text().splitlines() == [
        "c1 A 1.100 0.100 one", "c1 A 1.250 0.150 three", 'c1 A 2.000 0.200 say"it"', "c1 B 0.580 0.400 two",
        "c1 B 0.600 0.180 two"]


def test_an_utterance_is_shown_with_words_times_and_states(place, run):
    folder, _ = place
    done = run("utils/show_alignments", folder / "data", folder / "lang", folder / "ali", "c1-A_0100", COLUMNS="60")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["c1-A_0100: one three", "c1-A, 1.000 to 1.600 s, 60 frames"]
    assert [line.split() for line in lines[4:]] == [
        ["1.000", "0.100", "10", "SIL", "0000000034"], ["1.100", "0.040", "4", "one", "a", "0012"],
        ["1.140", "0.060", "6", "b", "000012"], ["1.200", "0.050", "5", "SIL", "00034"],
        ["1.250", "0.030", "3", "three", "b", "012"], ["1.280", "0.070", "7", "c", "0000012"],
        ["1.350", "0.050", "5", "a", "00012"], ["1.400", "0.200", "20", "SIL", "0" * 18 + "34"]]


def test_the_view_fits_its_width(place):
    folder, plant = place
    ali = plant("long", {"c1-A_0100": "SIL 90 a 4 b 6 SIL 5 b 3 c 7 a 5 SIL 20"})
    utterance = AlignmentDir(folder / "data", folder / "lang", ali)["c1-A_0100"]
    for width in (60, 80, 200):
        text = show(utterance, width)
        assert max(map(len, text.splitlines())) <= width
        states = re.findall(r"([0-4]+)$", text.split("by frame\n")[1].split("\n   1.9")[0], re.M)
        assert "".join(states) == "0" * 88 + "34"
    assert columns("日本a\u0301") == 5 and padded("日本語", 5) == "日本~" and padded("ab", 4) == "ab  "


@pytest.mark.parametrize("utt, message", [
    ("c1-A_010", "did you mean c1-A_0100"), ("c1-B_0200", "no path within the beams"),
    ("xyz", "an id such as c1-A_0100")])
def test_utterances_that_cannot_be_shown_are_explained(place, utt, message):
    folder, _ = place
    with pytest.raises(RecipeError, match=message):
        AlignmentDir(folder / "data", folder / "lang", folder / "ali")[utt]


def test_alignments_of_other_data_or_phones_are_refused(place, tmp_path):
    folder, _ = place
    small = DataDir.load(folder / "data").subset(["c1-A_0100"], tmp_path / "small").write()
    with pytest.raises(RecipeError, match="data directory lacks"):
        AlignmentDir(small.path, folder / "lang", folder / "ali")
    lang = make_lang(tmp_path, {"one": "a b"}, ["SIL", "a", "b"])
    with pytest.raises(RecipeError, match="different phones"):
        AlignmentDir(folder / "data", lang, folder / "ali")


def test_statistics_of_an_alignment(place):
    folder, _ = place
    stats = ali_stats.alignment_stats(folder / "data", folder / "lang", folder / "ali")
    assert (stats.utts, stats.frames) == (4, 60 + 31 + 48 + 18)
    assert (stats.edge_silence, stats.inner_silence) == (10 + 20 + 11 + 8, 5)
    assert (stats.bare_begins, stats.bare_ends) == (2, 2)
    assert stats.failed == {"no path within the beams": 1}
    assert stats.of("c").count == 4 and stats.of("c", places=("first phone",)).frames == {12: 1, 9: 1}
    assert stats.of("c").quantile(0.5) == 9 and stats.of("c").quantile(0.95) == 20 and stats.of("d").total == 37
    assert stats.shortest == {"SIL": 3, "SPN": 3, "a": 3, "b": 3, "c": 3, "d": 3}
    assert stats.spoken == {"SIL", "a", "b", "c", "d"}


def test_odd_alignments_are_remarked_on(place):
    folder, plant = place
    odd = "SIL 10 a 4 b 3 SIL 500 b 3 c 40 a 5 SIL 20"
    plant("odd", {"c1-A_0100": odd, "c1-B_0050": "c 60 d 3", "c1-B_0060": ""})
    texts = {name: ali_stats.remarks(ali_stats.alignment_stats(folder / "data", folder / "lang", folder / name),
                                     ali_stats.Limits(min_count=2, max_failed=40)) for name in ("ali", "odd")}
    assert not re.search("are silence|no alignment|median of", "\n".join(texts["ali"]))
    joined = "\n".join(texts["odd"])
    for expected in (r"^79\.7 % of the frames are silence \(more than 50 %\)",
                     r"^66\.7 % of the utterances begin without silence",
                     r"^33\.3 % of the utterances end without silence",
                     r"segments of b, d are as short", r"median of c is above 30",
                     r"^Never seen, as no word of the transcripts has it: SPN\.$"):
        assert re.search(expected, joined, re.M), (expected, joined)
    bare = plant("bare", {"c1-A_0100": "a 4 b 30 b 30 c 70 a 50", "c1-A_0200": "c 12 d 8", "c1-B_0050": "c 20 d 20"})
    stats = ali_stats.alignment_stats(folder / "data", folder / "lang", bare)
    found = "\n".join(ali_stats.remarks(stats, ali_stats.Limits()))
    assert "0.0 % of the frames are silence (less than 5 %)" in found and "1 of 5 utterances have no alignment" in found
    assert "may have it: SIL." in found


@pytest.mark.slow
def test_the_analysis_is_printed_and_kept(place, run):
    folder, _ = place
    done = run("steps/analyze_alignments", "--min-count", 2, folder / "data", folder / "lang", folder / "ali")
    assert done.returncode == 0, done.stderr
    assert (folder / "ali" / "log" / "analyze_alignments.txt").read_text() == done.stdout
    assert "Silence: 34.4 % of the frames: 31.2 % at the ends of utterances, 3.2 % inside" in done.stdout
    assert re.search(r"^c +30\.6 +2 +9 +12 +\. +\. +\. +2 +7 +20$", done.stdout, re.M), done.stdout
    assert max(len(line) for line in done.stdout.splitlines()[1:]) <= 80


def test_equal_alignments_compare_equal(place):
    folder, _ = place
    same = compare.compare(folder / "ali", folder / "ali")
    assert (same.utts, same.frames, same.matched) == (4, 157, 16)
    assert (same.changed_pdfs, same.changed_phones, same.extra_a, same.extra_b) == (0, 0, 0, 0)
    assert same.moved == {0: 16} and not (same.only_a or same.only_b or same.worst)


@pytest.mark.slow
def test_moved_boundaries_and_lost_utterances_are_counted(place, run):
    """Starts move by 1, 2 and 3 frames; a silence goes; one utterance fails."""
    folder, plant = place
    one = plant("pass1", {"c1-B_0060": ""}, "c1-B_0060 lost its way\n")
    two = plant("pass2", {"c1-A_0100": "SIL 11 a 5 b 7 b 5 c 7 a 5 SIL 20", "c1-B_0060": "c 9 d 9"}, "")
    result = compare.compare(one, two)
    # a and its b start 1 and 2 frames later; the second b starts 2 earlier, as the silence before it is gone.
    assert result.matched == 13 and (result.extra_a, result.extra_b) == (1, 0)
    assert result.moved == {0: 10, 1: 1, 2: 2} and (result.moved_beyond(1), result.moved_beyond(2)) == (2, 0)
    # SIL -> none at 10; a at 14, 15 (b before); b at 20..22 and 23, 24 (SIL before)
    assert result.changed_phones == 1 + 2 + 5 and result.worst == {"c1-A_0100": (8, 60)}
    assert result.only_b == {"c1-B_0060": "lost its way"} and result.only_a == {}
    text = run("utils/compare_alignments", one, two).stdout
    assert "phone starts moved > 1 frame       15.4 %  (2 of 13)" in text
    assert "c1-B_0060, in A: lost its way" in text and "c1-A_0100   13.3 %  (8 of 60)" in text
    three = plant("pass3", {"c1-B_0060": "c 12 d 6"})
    result = compare.compare(folder / "ali", three)
    # Frames 7 to 11 of 'c 9 d 9' are c1 c2 d0 d0 d0, those of 'c 12 d 6' c0 c0 c0 c1 c2.
    assert result.moved == {0: 15, 3: 1} and (result.changed_pdfs, result.changed_phones) == (5, 3)


def test_alignments_of_different_trees_compare_by_phones(place):
    folder, _ = place
    result = compare.compare(folder / "ali", folder / "other_tree")
    assert result.changed_pdfs is None and result.changed_phones == 0 and result.moved == {0: 16}
    assert "n/a: the trees differ" in compare.report(result, 5)


def test_alignments_that_cannot_be_compared_are_refused(place):
    folder, plant = place
    longer = plant("longer", {"c1-A_0100": "SIL 12 a 4 b 6 SIL 5 b 3 c 7 a 5 SIL 20"})
    with pytest.raises(RecipeError, match="different lengths"):
        compare.compare(folder / "ali", longer)
    empty = plant("nothing", dict.fromkeys(UTTS, ""))
    with pytest.raises(RecipeError, match="nothing to compare"):
        compare.compare(folder / "ali", empty)


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def experiment(place, tmp_path_factory):
    """One directory of every kind that steps/info knows, and some that it does not."""
    folder, exp = place[0], tmp_path_factory.mktemp("exp")
    model = AcousticModel.load(folder / "ali")
    means = np.random.default_rng(5).normal(0, 4, (model.num_pdfs, 39))
    mixtures = gmm.gaussians_from_moments(np.ones(len(means)), means, np.ones(means.shape), np.arange(len(means) + 1))
    model.replaced(gmm=mixtures).save(exp / "mono")
    (exp / "mono" / "log").mkdir()
    (exp / "mono" / "log" / "summary.txt").write_text("".join(
        f"iteration {n}: log-likelihood -{90 - n}.25 per frame, 157 frames, 22 Gaussians, {n} utterances failed\n"
        for n in (1, 2)))
    model.save(exp / "bare")
    for name, parameters in (("cnn", 1000), ("dnn", 500)):
        write_json(exp / name / "info.json", {"display": name.upper(), "parameters": parameters, "num_classes": 22,
                                              "best_epoch": 3, "epochs": 5})
        (exp / name / "model.safetensors").write_bytes(b"x")
    write_json(exp / "cnn" / "eval.json", {"fer": 0.4321})
    (exp / "ens").mkdir()
    (exp / "ens" / "ensemble.yaml").write_text("members: [cnn, dnn]\nweights: [0.25, 0.75]\n")
    (exp / "young").mkdir()
    (exp / "young" / "train.jsonl").write_text(
        '{"epoch": 1, "frames": 10, "lr": 0.1, "train_loss": 1, "valid_loss": 1, "valid_fer": 0.5, "seconds": 1, "event": "best"}\n')
    write_json(exp / "frames" / "meta.json", {"format": "pytorch_nnet frame store 1", "num_frames": 157, "num_utts": 4,
                                              "num_classes": 22, "dim": 31})
    write_json(exp / "soft" / "meta.json", {"format": "pytorch_nnet soft-label store 1", "num_frames": 157,
                                            "num_classes": 22, "max_classes": 90, "classes_kept": 12.34,
                                            "mass_kept": 0.9912,
                                            "teachers": [{"name": "lstm1"}, {"name": "lstm2"}]})
    write_json(exp / "phones" / "meta.json", {"format": "pytorch_nnet ctc store 1", "num_frames": 157, "num_utts": 4, "num_classes": 9, "dim": 31,
                                               "num_tokens": 42, "units": {"kind": "phones"}})
    write_json(exp / "lattices" / "meta.json", {"format": "pytorch_nnet lattice store 1", "num_frames": 157, "num_utts": 4, "num_classes": 22, "num_arcs": 1600,
                                                "failed": {"a": "no path"}, "networks": [{"name": "dnn"}]})
    (exp / "graph").mkdir()
    (exp / "graph" / "HCLG.fst").write_bytes(b"x")
    (exp / "graph" / "num_pdfs").write_text("22\n")
    (exp / "graph" / "sizes.tsv").write_text("G\t5\t6\nHCLG\t70\t80\n")
    for name, sub in (("wer_7_0.0", 5), ("wer_9_0.5", 2)):
        write_wer(exp / "decode" / name, Counts(40, 1, 1, sub, 10, 4, 1), "title", {})
    (exp / "strange").mkdir()
    (exp / "strange" / "README").write_text("x")
    write_json(exp / "broken" / "meta.json", {"format": "pytorch_nnet frame store 1"})
    write_json(exp / "foreign" / "meta.json", {"format": "something else"})
    return exp


@pytest.mark.parametrize("name, expected", [
    ("mono", "GMM: 22 pdfs, 22 Gaussians, CMN + deltas (39), log-likelihood -88.25 per frame, 2 failed"),
    ("bare", "transition model: 22 pdfs, 60 transition-ids"),
    ("cnn", "CNN: 1000 parameters, 22 classes, FER 43.21 %, best epoch 3 of 5"),
    ("dnn", "DNN: 500 parameters, 22 classes, FER not evaluated, best epoch 3 of 5"),
    ("ens", "ensemble: 1500 parameters, FER not evaluated, 0.25 cnn + 0.75 dnn"),
    ("young", "network, training not finished: 1 epochs so far, FER 50.00 %"),
    ("phones", "CTC store: 4 utterances, 157 frames, 9 classes, 42 phones, 31 dimensions"),
    ("frames", "frame store: 4 utterances, 157 frames, 22 classes, 31 dimensions"),
    ("soft", "soft labels: 157 frames, 22 classes, at most 90 a frame, 12.3 on average, mass 99.12 %, by lstm1 + lstm2"),
    ("lattices", "lattices: 4 utterances, 157 frames, 22 classes, 10.2 arcs a frame, 1 failed, by dnn"),
    ("graph", "graph: 70 states, 80 arcs, 22 pdfs"),
    ("decode", "decoding: WER 10.00 %, 1 ins, 1 del, 2 sub, 40 words, LMWT 9, WIP 0.5, 1 failed")])
def test_each_kind_of_directory_has_its_line(experiment, name, expected):
    assert describe(experiment / name) == expected


@pytest.mark.parametrize("files, options, expected", [
    ((), FeatureOptions(norm_means=False, deltas=False), "unnormalised (40)"),
    ((), FeatureOptions(norm_vars=True), "CMVN + deltas (40)"),
    (("final.mat", "trans.1"), FeatureOptions(), "CMN + LDA+MLLT + fMLLR (40)")])
def test_the_feature_pipeline_is_read_off_the_files(tmp_path, files, options, expected):
    for name in files:
        (tmp_path / name).write_bytes(b"x")
    assert features(tmp_path, options, 40) == expected


def test_an_alignment_directory_has_its_line(place):
    assert describe(place[0] / "ali") == "alignment: 4 utterances, 157 frames, 1 failed, 22 pdfs"


@pytest.mark.parametrize("name, message", [
    ("strange", "unknown kind"), ("broken", "lacks an entry"), ("foreign", "unknown kind"),
    ("strange/README", "not a directory"), ("nothing", "not a directory")])
def test_unknown_directories_say_what_was_expected(experiment, name, message):
    with pytest.raises(RecipeError, match=message) as caught:
        describe(experiment / name)
    assert caught.value.expected


@pytest.mark.slow
def test_info_goes_on_after_an_unknown_directory(experiment, run):
    done = run("steps/info", experiment / "strange", experiment / "cnn")
    assert done.returncode == 1 and "model.safetensors" in done.stderr and "README" in done.stderr
    assert done.stdout.endswith("CNN: 1000 parameters, 22 classes, FER 43.21 %, best epoch 3 of 5\n")
    assert run("steps/info", experiment / "cnn", experiment / "graph").returncode == 0


# --- word starts beside a reference

REFERENCE = """c1 A 1.00 0.30 one
c1 A 1.30 0.20 two
c1 A 2.00 0.20 one
c1 B 1.00 0.50 one
"""


def test_word_starts_are_compared_after_their_median(tmp_path, run):
    """Two words 40 ms late, one 55 and one 140: the median is no error, the nearest word of the same channel is meant."""
    (tmp_path / "truth.ctm").write_text(REFERENCE)
    (tmp_path / "words.ctm").write_text("c1 A 1.04 0.30 one\nc1 A 1.355 0.10 two\nc1 A 2.04 0.20 one\nc1 B 1.14 0.3 one\nc1 A 3.00 0.1 uh\n")
    done = run("utils/compare_word_times", tmp_path / "words.ctm", tmp_path / "truth.ctm")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "starts of 4 words" in lines[0] and lines[0].endswith("; not there: 1") and lines[1] == "median +47.5 ms, taken away"
    rows = {line[:16].strip(): line[16:].replace("%", "").split() for line in lines[4:]}
    assert rows["words"] == ["4", "3", "1"], "'two' follows a word, the others a pause or nothing"
    assert rows["within  10 ms"] == ["75.0", "66.7", "100.0"] and rows["within  50 ms"] == ["75.0", "66.7", "100.0"]
    assert rows["within 100 ms"] == ["100.0", "100.0", "100.0"] and rows["median, ms"] == ["+0.0", "-7.5", "+7.5"]


def test_words_of_another_recording_are_no_reference(tmp_path, run):
    (tmp_path / "truth.ctm").write_text(REFERENCE)
    (tmp_path / "words.ctm").write_text("c2 A 1.00 0.30 one\n")
    done = run("utils/compare_word_times", tmp_path / "words.ctm", tmp_path / "truth.ctm")
    assert done.returncode == 1 and "no word in common" in done.stderr and "('c1', 'A')" in done.stderr
