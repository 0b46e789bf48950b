"""Each rule that turns the markup of the Mississippi State transcripts into words: what it makes, and that it is counted."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytorch_nnet.corpus.acronyms import find_acronyms, spelled
from pytorch_nnet.corpus.markup import ACRONYM, CASE, NUMBER, RULES, TextRules
from pytorch_nnet.corpus.ms98 import read_dictionary
from pytorch_nnet.corpus.textfile import CRLF, LATIN1, UTF8, read_lines

NAMES = {name.split(":")[0]: name for name, _, _ in RULES}
EXAMPLES = {
    NAMES["laughed word"]: {"[laughter-yes]": "yes", "[laughter-yes]-": "yes-", "-[laughter-yes]": "-yes", "[LAUGHTER-a]": "a"},
    NAMES["mispronounced"]: {"[yeam/yeah]": "yeam", "[brown/blown]": "brown", "[it'n/isn't]": "it'n"},
    NAMES["begun late"]: {"-[be]cause": "-cause", "[be]cause": "-cause", "-[40]1k": "-1k"},
    NAMES["cut off"]: {"th[at]-": "th-", "th[at]": "th-"},
    NAMES["cut off and mistyped"]: {"ex[tra]-/extra]": "ex-"},
    NAMES["gap inside"]: {"ammu[ni]tion": "ammu-tion"},
    NAMES["coined word"]: {"{yuppiedom}": "yuppiedom"},
    NAMES["pronunciation number"]: {"them_1": "them", "them_1's": "them's"},
    CASE: {"Hello": "hello", "I": "i", "I'm": "i'm"},
    NUMBER: {"401k": "401k", "'80s": "'80s"},
    "[silence] dropped": {"[silence]": None, "[SILENCE]": None},
    "<b_aside>, <e_aside> dropped": {"<b_aside>": None, "<E_ASIDE>": None},
    "[noise] kept as a word of its own": {"[noise]": "[noise]", "[NOISE]": "[noise]"},
    "[vocalized-noise] kept as a word of its own": {"[vocalized-noise]": "[vocalized-noise]"},
    "[laughter] kept as a word of its own": {"[laughter]": "[laughter]"},
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_rule(name):
    for written, expected in EXAMPLES[name].items():
        rules = TextRules()
        assert rules.words([written]) == ([] if expected is None else [expected]), written
        assert rules.counts()[name] == 1, written


def test_every_rule_has_examples():
    assert {name for name, _, _ in RULES} <= EXAMPLES.keys()


@pytest.mark.parametrize("written, expected", [
    ("[laughter-ye[s]-]", "ye-"), ("[lem[guini]-/linguini]", "lem-"), ("-[a]b[out]-", "-b-"), ("uh-huh", "uh-huh"), ("don't", "don't")])
def test_rules_one_after_another(written, expected):
    assert TextRules().words([written]) == [expected]


def test_a_line_and_its_counts():
    rules = TextRules()
    assert rules.words("[silence] <B_ASIDE> Hi [laughter-you] <e_aside> [noise]".split()) == ["hi", "you", "[noise]"]
    rules.words(["[laughter-me]"])
    assert rules.counts() == {"[silence] dropped": 1, "<b_aside>, <e_aside> dropped": 2, CASE: 1, NAMES["laughed word"]: 2,
                              "[noise] kept as a word of its own": 1}


@given(st.lists(st.text(st.characters(codec="ascii", categories=["L", "P", "N"]), min_size=1), max_size=8))
def test_no_word_is_dropped_silently(tokens):
    rules = TextRules()
    words = rules.words(tokens)
    dropped = sum(count for name, count in rules.counts().items() if name.endswith("dropped"))
    assert len(words) + dropped == len(tokens) and not any(word != word.lower() for word in words)


LEXICON = [("IBM", "ay b iy eh m"), ("BBC's", "b iy b iy s iy z"), ("VCRs", "v iy s iy aa r z"), ("am", "ae m"), ("AM", "ey eh m"),
           ("a", "ey"), ("I", "ay"), ("is", "ih z"), ("quick", "k y uw eh l w d ax ow jh iy f n t p h ch uh hh ah".replace(" h ", " hh "))]


def test_acronyms_are_what_the_dictionary_spells():
    entries, acronyms = find_acronyms([(word, tuple(phones.split())) for word, phones in LEXICON])
    words = [word for word, _ in entries]
    assert words[:8] == ["i._b._m.", "b._b._c.'s", "v._c._r.s", "am", "a._m.", "a", "I", "is"]
    assert acronyms["BBC's"] == ("b._b._c.'s", "b b c's") and acronyms["VCRs"] == ("v._c._r.s", "v c r's") and "am" not in acronyms
    rules = TextRules({word: written for word, (written, _) in acronyms.items()})
    assert rules.words("I am at IBM at five AM".split()) == ["i", "am", "at", "i._b._m.", "at", "five", "a._m."]
    assert rules.words("the B B C and the I C I so I left".split()) == [
        "the", "b.", "b.", "c.", "and", "the", "i.", "c.", "i.", "so", "i", "left"]
    assert rules.counts()[ACRONYM] == 2 + 6


def test_a_letter_whose_phones_the_dictionary_lacks_stays_a_word():
    _, acronyms = find_acronyms([("TV", ("t", "iy", "v", "iy"))])
    assert set(acronyms) == {"TV", "T", "V", "E"}
    assert find_acronyms([("hello", ("hh", "ow")), ("a", ("ey",))])[1] == {}


@pytest.mark.parametrize("word, phones", [("IBM", "ay b iy"), ("IBMs", "ay b iy eh m t"), ("a", "ey"), ("I.B", "ay b iy"), ("s", "s")])
def test_other_words_are_no_acronyms(word, phones):
    assert spelled(word, tuple(phones.split())) is None


def test_dictionary_and_transcripts_agree_on_acronyms(tmp_path):
    (tmp_path / "sw-ms98-dict.text").write_text("IBM ay b iy eh m\nIBM_1 ay b eh m\n[laughter-IBM] ay b iy eh m\n")
    dictionary = read_dictionary(tmp_path, Counter())
    assert ("i._b._m.", "ay b iy eh m") in dictionary.entries and ("ibm", "ay b eh m") in dictionary.entries
    assert ("b.", "b iy") in dictionary.entries


def test_text_files_of_every_kind(tmp_path):
    path, counts = tmp_path / "t", Counter()
    path.write_bytes(b"plain\r\ncaf\xe9 noir\r\n" + "déjà vu\n".encode() + b"last")
    assert list(read_lines(path, counts)) == [(1, "plain"), (2, "café noir"), (3, "déjà vu"), (4, "last")]
    assert counts == {CRLF: 1, LATIN1: 1, UTF8: 1}
    assert "déjà vu".split() == ["déjà", "vu"] and "déjà vu".encode().decode("latin-1").split() != ["déjà", "vu"], "why UTF-8 comes first"
