"""RT-03 and the Fisher transcripts: layouts, text rules, and what scoring needs."""

from collections import Counter

import pytest

from ldc import audio, lines
from pytorch_nnet.corpus.acronyms import read_acronyms, write_acronyms
from pytorch_nnet.corpus.datadir import DataDir
from pytorch_nnet.corpus.fisher import LINE_RULES, NOISES, WORD_RULES, FisherRules, prepare_fisher
from pytorch_nnet.corpus.testsets import read_rt03
from pytorch_nnet.corpus.validate import validate_data_dir
from pytorch_nnet.io.errors import RecipeError

RT03 = [';; CATEGORY "0" "" ""', "{n} 1 inter_segment_gap 0.00 0.50 <O,fsh,M,fsh-M>",
        "{n} 1 {n}_A 0.50 1.00 <O,fsh,M,fsh-M> SO ((I))",
        "{n} 2 {n}_B 0.70 1.90 <O,fsh,F,fsh-F> <B_ASIDE> (%HESITATION) YEAH",
        "{n} 2 {n}_B 1.90 2.00 <O,fsh,F,fsh-F> IGNORE_TIME_SEGMENT_IN_SCORING"]


@pytest.fixture
def rt03(tmp_path):
    root = tmp_path / "LDC2007S10"
    for name in ("fsh_60262", "sw_45355"):
        audio(root / f"data/audio/eval03/english/cts/{name}.sph")
        lines(root / f"data/references/eval03/english/cts/{name}.stm", [line.format(n=name) for line in RT03])
    lines(root / "data/references/eval03/mandarin/cts/ma_0001.stm", ["broken"])
    lines(root / "data/references/eval03/english/bnews/e.stm", ["broken"])
    lines(root / "data/trans_rules/en20030506.glm", [";; rules"])
    return root


def test_rt03(rt03, tmp_path, run):
    done = run("local/prepare_rt03", rt03, "data/rt03")
    assert done.returncode == 1 and "data/local/dict/acronyms.map" in done.stderr
    acronyms = {"IBM": ("i._b._m.", "i b m"), "TV": ("t._v.", "t v")}
    (tmp_path / "data/local/dict").mkdir(parents=True)
    write_acronyms(tmp_path / "data/local/dict/acronyms.map", acronyms)
    assert read_acronyms(tmp_path / "data/local/dict/acronyms.map") == acronyms
    done = run("local/prepare_rt03", rt03, "data/rt03")
    assert done.returncode == 0, done.stderr
    data = validate_data_dir(tmp_path / "data/rt03", feats=False)
    assert data.text == {f"{name}-{rest}": words for name in ("fsh_60262", "sw_45355")
                         for rest, words in (("A_000050-000100", ["so", "i"]), ("B_000070-000190", ["%hesitation", "yeah"]))}
    assert data.segments["sw_45355-B_000070-000190"].start == 0.7 and data.channel["sw_45355-B"] == ("sw_45355", "B")
    stm = (tmp_path / "data/rt03/stm").read_text().splitlines()
    assert "fsh_60262 A fsh_60262_A 0.50 1.00 <O,fsh,M,fsh-M> SO (I))" in stm and not any("inter_segment_gap" in line for line in stm)
    assert len(stm) == 8 and all("ASIDE" not in line for line in stm) and (tmp_path / "data/rt03/glm").read_text() == ";; rules\n"
    assert (tmp_path / "data/rt03/acronyms.map").read_text() == "i._b._m.\ti b m\nt._v.\tt v\n"
    assert "4 segments" in done.stdout and "2  stm lines of gaps" in done.stdout


def test_rt03_must_be_whole(rt03):
    (rt03 / "data/audio/eval03/english/cts/sw_45355.sph").unlink()
    with pytest.raises(RecipeError, match="reference without audio") as error:
        read_rt03(rt03, Counter())
    assert error.value.id == "sw_45355"
    (rt03 / "data/trans_rules/en20030506.glm").unlink()
    with pytest.raises(RecipeError, match="mapping rules not found") as error:
        read_rt03(rt03, Counter())
    assert "--rt03" in error.value.next


FISHER = {
    "foreign words: <german ...> dropped": ("so <german (( ja wohl )) > yes", "so yes"),
    "mark of a mandatory word: *word -> word": ("*mandatory", "mandatory"),
    "not sure: (( word )) -> word": ("i (( guess )) so", "i guess so"),
    "comma between words dropped": ("well,you know, yes", "well you know yes"),
    "question mark dropped": ("really?", "really"),
    "[[skip]], [pause] dropped": ("a [[skip]] b [pause]", "a b"),
    "quoted: 'word' -> word": ("'cause he said 'don't go' and 'yes'", "cause he said don't go and yes"),
    "lone - dropped": ("so - yes", "so yes"),
    "non-stop -> non stop": ("non-stop", "non stop"),
    "'cause -> cause": ("'cause", "cause"),
    "begun late: 'em -> -em": ("tell 'em", "tell -em"),
    "other marks in [] kept as words": ("[static]", "[static]"),
    **{f"{noise} -> {word}": (noise, word) for noise, word in NOISES.items()},
}


@pytest.mark.parametrize("name", FISHER)
def test_fisher_rule(name):
    rules = FisherRules()
    text, expected = FISHER[name]
    assert rules.words(text.upper()) == expected.split() and rules.counts[name] >= 1


def test_every_fisher_rule_has_an_example():
    assert {rule[0] for rule in (*LINE_RULES, *WORD_RULES)} <= FISHER.keys()


@pytest.mark.parametrize("text", ["i._b._m.'s p._c.", "uh-huh it's the boys' an- [laughter]"])
def test_fisher_text_that_stays(text):
    assert FisherRules().words(text) == text.split()


def test_fisher_text_file(tmp_path, run):
    for part, number in (("LDC2004T19/fe_03_p1_tran", 4), ("LDC2005T19/fe_03_p2_tran", 5851)):
        name = f"fe_03_{number:05d}"
        lines(tmp_path / part / "data/trans" / f"{number // 100:03d}" / f"{name}.txt",
              [f"# {name}.sph", "# Transcribed at the LDC", "", "7.38 8.78 B: an- so the (( topic )) is", "",
               "1.00 2.00 A: [LAUGH] yes\r", "3.0 4.0 A: (( ))"])
    done = run("local/prepare_fisher", "LDC2004T19", "LDC2005T19", "data/local/fisher/text")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data/local/fisher/text").read_text().splitlines()[:3] == [
        "fe_03_00004-A-000100-000200 [laughter] yes", "fe_03_00004-B-000738-000878 an- so the topic is",
        "fe_03_05851-A-000100-000200 [laughter] yes"]
    assert "2 conversations (published: 11699), 14 words" in done.stdout and "2  lines without a word dropped" in done.stdout


def test_fisher_bad_lines(tmp_path):
    path = tmp_path / "fe_03_00001.txt"
    lines(path, ["1.0 2.0 A: yes", "1.0 C: no"])
    with pytest.raises(RecipeError, match="malformed Fisher") as error:
        prepare_fisher([str(tmp_path)], tmp_path / "text")
    assert error.value.file == f"{path}:2" and not (tmp_path / "text").exists()
    assert any("dropped" in line for line in prepare_fisher([str(tmp_path)], tmp_path / "text", max_bad_percent=50))
    assert (tmp_path / "text").read_text() == "fe_03_00001-A-000100-000200 yes\n"


def test_a_read_data_directory_is_what_was_written(rt03, tmp_path):
    test = read_rt03(rt03, Counter())
    test.publish(tmp_path / "rt03", {})
    assert DataDir.load(tmp_path / "rt03").segments == test.data.segments
