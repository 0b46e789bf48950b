"""steps/score_stm and local/score.sh: CTM from lattices, the scorer and its names, parts of a set, published counts; Table 1b."""

import json
import shutil

import pytest

from conftest import ROOT
from pytorch_nnet.decoding.lattice import Lattice, LatticeWriter
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.scoring.alignments import Utterance
from pytorch_nnet.scoring.compare import compare
from pytorch_nnet.scoring.ctm import timed_words
from pytorch_nnet.scoring.hubscr import find_hubscr
from pytorch_nnet.scoring.network import Token
from pytorch_nnet.scoring.report import write_tables
from pytorch_nnet.scoring.results import gather
from pytorch_nnet.scoring.score_stm import HUB5_00, check_published, count_subsets, score_stm
from pytorch_nnet.scoring.sweep import score
from pytorch_nnet.scoring.wer import Counts, read_wer

WORDS = ["<eps>", "yes", "no", "can't", "uh", "th-", "right", "[noise]"]
SEGMENTS = {"en_4156-A_000100-000200": (1.0, 2.0), "sw_4390-A_000100-000200": (1.0, 2.0), "sw_4390-A_000200-000300": (2.0, 3.0),
            "sw_4390-B_000050-000150": (0.5, 1.5)}
STM = """;; CATEGORY "0" "" ""
;; LABEL "O" "Overall" "Overall"
sw_4390 A sw_4390_A 0.00 1.00 <O> IGNORE_TIME_SEGMENT_IN_SCORING
sw_4390 A sw_4390_A 1.00 2.00 <O> YES (UH) CANNOT
sw_4390 A sw_4390_A 2.00 3.00 <O> {NO / YES} NO
sw_4390 B sw_4390_B 0.50 1.50 <O> RIGHT
en_4156 A en_4156_A 1.00 2.00 <O> YES
"""
GLM = """;; rules
* format = 'NIST1'
* case_sensitive = 'F'
CAN'T => {CAN'T / CANNOT} / [ ] __ [ ]
"""
# What was said, and at which frame; the other path, "no" alone, wins from LMWT 6 on.
SAID = {"sw_4390-A_000100-000200": [("yes", 5), ("uh", 30), ("can't", 50), ("[noise]", 90)],
        "sw_4390-A_000200-000300": [("yes", 10), ("th-", 60)], "en_4156-A_000100-000200": [("yes", 20)]}


def path_lattice(words, frames):
    """One path whose words stand at their frames, and from the start a wordless one that costs more under low LM weights."""
    src, dst, word, states = [0], [1], [0], [0, words[0][1]]
    for number, (name, _) in enumerate(words):
        states.append(words[number + 1][1] if number + 1 < len(words) else frames)
        src.append(number + 1)
        dst.append(number + 2)
        word.append(WORDS.index(name))
    end = len(words) + 1
    src, dst, word = [*src, 0], [*dst, end], [*word, WORDS.index("no")]
    am, graph = [-20.0] + [0.0] * (len(src) - 2) + [-30.0], [-4.0] + [0.0] * (len(src) - 2) + [-2.0]
    return Lattice.build(src, dst, word, am, graph, states)


@pytest.fixture
def decoded(tmp_path):
    data, decode = tmp_path / "data/eval2000", tmp_path / "exp/tri1/decode_eval2000"
    data.mkdir(parents=True)
    decode.mkdir(parents=True)
    sides = {utt: utt[:9] for utt in SEGMENTS}
    tables = {"utt2spk": sides, "text": dict.fromkeys(SEGMENTS, "yes"),
              "segments": {utt: f"{utt[:9]} {begin} {end}" for utt, (begin, end) in SEGMENTS.items()},
              "reco2file_and_channel": {side: f"{side[:7]} {side[8]}" for side in sorted(set(sides.values()))}}
    for name, table in tables.items():
        (data / name).write_text("".join(f"{key} {value}\n" for key, value in table.items()))
    (data / "stm").write_text(STM)
    (data / "glm").write_text(GLM)
    (data / "words.txt").write_text("".join(f"{word} {number}\n" for number, word in enumerate(WORDS)))
    with LatticeWriter(decode / "lat.1.npz") as writer:
        for utt, words in SAID.items():
            writer.write(utt, path_lattice(words, 100))
    (decode / "num_jobs").write_text("1\n")
    (decode / "failed.txt").write_text("sw_4390-B_000050-000150 no path\n")
    (tmp_path / "conf").mkdir()
    shutil.copy(ROOT / "egs/switchboard/conf/scoring_rules.txt", tmp_path / "conf")
    for name in ("steps", "utils", "local"):
        (tmp_path / name).symlink_to(ROOT / name)
    return decode


def score_step(run, *options):
    return run("local/score.sh", *options, "data/eval2000", "data/eval2000", "exp/tri1/decode_eval2000")


def test_builtin_scorer_of_lattices(run, decoded):
    done = score_step(run, "--scorer", "builtin", "--min-lmwt", 4, "--max-lmwt", 6, "--word-ins-penalty", "0.0")
    assert done.returncode == 0, done.stderr
    out = decoded / "scoring_builtin"
    assert (out / "score_4_0.0/eval2000.ctm").read_text() == (
        "en_4156 A 1.20 0.50 yes\nsw_4390 A 1.05 0.25 yes\nsw_4390 A 1.50 0.40 can't\nsw_4390 A 2.10 0.50 yes\n")
    assert [str(path.relative_to(out)) for path in sorted(out.glob("*/wer_*"))] == [
        f"{part}/wer_{lmwt}_0.0" for part in ("all", "callhm", "swbd") for lmwt in (4, 5, 6)]
    # yes (uh) can't/cannot: right; yes for {no / yes} no: a deletion; nothing for right.
    assert read_wer(out / "swbd/wer_4_0.0") == Counts(words=6, ins=0, dels=2, sub=0, sentences=3, wrong=2, failed=1)
    assert read_wer(out / "callhm/wer_4_0.0") == Counts(words=1, ins=0, dels=0, sub=0, sentences=1, wrong=0, failed=0)
    # From LMWT 6 on every utterance is "no".
    assert read_wer(out / "all/wer_6_0.0") == Counts(words=7, ins=0, dels=3, sub=2, sentences=4, wrong=4, failed=1)
    text = (out / "swbd/wer_4_0.0").read_text()
    assert text.startswith("builtin scorer (hubscr's counts): swbd of eval2000, LM weight 4") and "failed: sw_4390-B" in text
    assert done.stdout.splitlines()[0] == (
        "%WER 28.57 [ 2 / 7, 0 ins, 2 del, 0 sub ] exp/tri1/decode_eval2000/scoring_builtin/all/wer_4_0.0")
    assert "built-in scorer" in done.stderr and "1 utterances have no hypothesis" in done.stderr


def score_here(decoded, scorer, **options):
    data = decoded.parents[2] / "data/eval2000"
    return score_stm(data, data, decoded, lmwts=[4], wips=[0.0], scorer=scorer, cmd="utils/run.py",
                     rules_file=ROOT / "egs/switchboard/conf/scoring_rules.txt", **options)


@pytest.mark.slow
def test_acronyms_are_scored_letter_by_letter(run, decoded):
    # The lexicon's word can't stands in for i._b._m.: what it is does not matter, only that the map has it.
    data = decoded.parents[2] / "data/eval2000"
    (data / "acronyms.map").write_text("can't\ti b\n")
    (data / "stm").write_text(STM.replace("CANNOT", "I B"))
    (data / "text").write_text("".join(f"{utt} yes i b\n" for utt in SEGMENTS))
    done = score_step(run, "--scorer", "builtin", "--min-lmwt", 4, "--max-lmwt", 4, "--word-ins-penalty", "0.0")
    assert done.returncode == 0, done.stderr
    out = decoded / "scoring_builtin"
    assert "sw_4390 A 1.50 0.20 i\nsw_4390 A 1.70 0.20 b\n" in (out / "score_4_0.0/eval2000.ctm").read_text()
    assert read_wer(out / "swbd/wer_4_0.0") == Counts(words=7, ins=0, dels=2, sub=0, sentences=3, wrong=2, failed=1)
    basic = score(data, data, decoded, lmwts=[4], wips=[0.0], rules_file=decoded.parents[2] / "conf/scoring_rules.txt", cmd="utils/run.py")
    assert "sw_4390-A_000100-000200 sw_4390-A 3 0" in (decoded / "scoring/4.0.0.counts").read_text() and basic.counts[4, 0.0].failed == 1
    (data / "acronyms.map").write_text("can't i b\n")
    done = score_step(run, "--scorer", "builtin")
    assert done.returncode == 1 and "bad line of acronyms" in done.stderr and "acronyms.map:1" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(find_hubscr() is None, reason="hubscr is not installed")
def test_hubscr_gives_the_same_figures(decoded):
    results = [score_here(decoded, scorer) for scorer in ("builtin", "hubscr")]
    assert results[0][1] == results[1][1] and results[1][0] == decoded / "scoring_hubscr"
    assert (decoded / "scoring_hubscr/swbd/wer_4_0.0").read_text().startswith("hubscr (sclite 2.")
    assert "Sum" in (decoded / "scoring_hubscr/score_4_0.0/eval2000.ctm.filt.sys").read_text()
    assert not list(decoded.rglob(".hubscr*"))
    before = {path: path.read_bytes() for path in (decoded / "scoring_hubscr").rglob("*.*") if path.is_file()}
    assert b'creation_date=""' in before[decoded / "scoring_hubscr/score_4_0.0/eval2000.ctm.filt.sgml"]
    score_here(decoded, "hubscr")
    assert before == {path: path.read_bytes() for path in before}


def test_pair_chosen_on_dev(run, decoded):
    dev = decoded.with_name("decode_dev")
    for lmwt, errors in ((4, 9), (5, 2), (6, 9)):
        (dev / f"wer_{lmwt}_0.5").parent.mkdir(exist_ok=True)
        (dev / f"wer_{lmwt}_0.5").write_text(f"x\n%WER 1.00 [ {errors} / 9, 0 ins, {errors} del, 0 sub ]\n%SER 50.00 [ 1 / 2 ]\n"
                                             "Scored 2 sentences, 0 not present in hyp.\n")
    done = score_step(run, "--scorer", "builtin", "--tuned-on", "exp/tri1/decode_dev")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (decoded / "scoring_builtin/all").iterdir()] == ["wer_5_0.5"]


def test_without_stm_words_are_compared_with_the_text(run, decoded):
    (decoded.parents[2] / "data/eval2000/stm").unlink()
    done = score_step(run, "--min-lmwt", 4, "--max-lmwt", 4)
    assert done.returncode == 0 and "no stm and glm" in done.stderr and (decoded / "wer_4_0.0").exists()
    done = score_step(run, "--scorer", "hubscr")
    assert done.returncode == 1 and "need stm and glm" in done.stderr
    with pytest.raises(RecipeError, match="missing input"):
        score_here(decoded, "builtin")


def test_scorers_that_are_not_there_or_fail(run, decoded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match="bad value for an option"):
        score_here(decoded, "sclite")
    with pytest.raises(RecipeError, match="no hubscr there"):
        score_here(decoded, "", sctk="conf")
    program = tmp_path / "fake/hubscr.pl"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho sclite: Alignment failed.\nexit 1\n")
    program.chmod(0o755)
    done = run("steps/score_stm", "--sctk", "fake", "data/eval2000", "data/eval2000", decoded)
    assert done.returncode == 1 and "Alignment failed" in done.stderr and "Traceback" not in done.stderr


def test_times_of_words():
    assert timed_words([(5, 10), (6, 12), (7, 200)], 230, 100.0) == [
        (5, pytest.approx(100.1), pytest.approx(0.02)), (6, pytest.approx(100.12), 0.5), (7, pytest.approx(102.0), pytest.approx(0.3))]


def test_reference_words_of_the_full_set_are_the_published_ones():
    def counts(words):
        return {part: Counts(words.get(part, number), 0, 0, 0, segments, 0, 0) for part, (segments, number) in HUB5_00.items()}

    check_published(counts({}), "stm")
    check_published({"all": Counts(100, 0, 0, 0, 10, 0, 0)}, "stm")  # another set
    with pytest.raises(RecipeError, match="21395 in 1831 segments"):
        check_published(counts({"swbd": 21394}), "stm")
    assert HUB5_00["all"] == tuple(map(sum, zip(HUB5_00["swbd"], HUB5_00["callhm"])))


def test_parts_of_a_set():
    files = ["sw_1", "SW_2", "en_1", "fsh_1", "other"]
    utterances = [Utterance(file, file, "a", 0, 1, "", [Token("C", "a", "a"), Token("I", "", "b")]) for file in files]
    counts = count_subsets(utterances, ["sw_9"])
    assert {part: (number.sentences, number.words, number.ins, number.failed) for part, number in counts.items()} == {
        "all": (5, 5, 5, 1), "swbd": (2, 2, 2, 1), "callhm": (1, 1, 1, 0), "fsh": (1, 1, 1, 0)}


@pytest.mark.slow
def test_tables_and_comparison_of_scored_systems(run, decoded, tmp_path):
    """Two systems, tuned on a dev set that is the test set here."""
    exp = decoded.parents[1]
    shutil.copytree(exp / "tri1", exp / "cnn")
    with LatticeWriter(exp / "cnn/decode_eval2000/lat.1.npz") as writer:
        for utt, words in SAID.items():
            writer.write(utt, path_lattice([("right", 0), *words[1:]], 100))
    (exp / "cnn/info.json").write_text(json.dumps({"parameters": 1000}))
    for name in ("tri1", "cnn"):
        data = tmp_path / "data/eval2000"
        score(data, data, exp / name / "decode_eval2000", lmwts=[4], wips=[0.0], cmd="utils/run.py",
              rules_file=ROOT / "egs/switchboard/conf/scoring_rules.txt")
        score_here(exp / name / "decode_eval2000", "builtin")
    systems = gather(exp, ["tri1", "cnn"], dev="eval2000", test="eval2000")
    write_tables(exp / "results", systems, [], baseline="cnn", dev="eval2000", test="eval2000")
    text = (exp / "results/RESULTS.md").read_text()
    assert "## Table 1b: Hub5 scoring" in text and "interval: 3 speakers are too few" in text
    rows = [line.split("\t") for line in (exp / "results/table1b.tsv").read_text().splitlines()]
    assert [row[:4] for row in rows[1:]] == [["tri1", "builtin", "all", "28.57"], ["tri1", "builtin", "swbd", "33.33"],
                                            ["tri1", "builtin", "callhm", "0.00"], ["cnn", "builtin", "all", "71.43"],
                                            ["cnn", "builtin", "swbd", "66.67"], ["cnn", "builtin", "callhm", "100.00"]]
    assert "built in, which counts as hubscr does" in text and "Switchboard 6, CallHome 1, all 7" in text
    assert "| vision-style CNN | n/a | 66.67 | vision-style CNN (mean of 3) |" in text  # beside the paper: Switchboard
    names = ["--dev", "eval2000", "--test", "eval2000"]
    done = run("steps/compare_systems", *names, "exp", "exp/results/significance.tsv", "tri1", "cnn")
    assert done.returncode == 0, done.stderr
    header, *rows = [line.split("\t") for line in (exp / "results/significance.tsv").read_text().splitlines()]
    assert [row[:7] for row in rows] == [["basic", "all", "tri1", "cnn", "75.00", "150.00", "-75.00"],
                                         ["builtin", "all", "tri1", "cnn", "28.57", "71.43", "-42.86"],
                                         ["builtin", "swbd", "tri1", "cnn", "33.33", "66.67", "-33.33"],
                                         ["builtin", "callhm", "tri1", "cnn", "0.00", "100.00", "-100.00"]]
    # Pieces of all: yes/right and the words after, no/right, the lost side, and yes/right of the other file.
    assert [row[9] for row in rows] == ["4", "4", "3", "1"] and {row[-1] for row in rows} <= {"tri1", "neither"}
    alignments = exp / "cnn/decode_eval2000/scoring_builtin/score_4_0.0/eval2000.ctm.filt.sgml"
    alignments.write_text(alignments.read_text().replace('S,"yes"', 'C,"yes"', 1))
    with pytest.raises(RecipeError, match="counts by utterance disagree"):
        compare(exp, ["tri1", "cnn"], dev="decode_eval2000", test="decode_eval2000")
