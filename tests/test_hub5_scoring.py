"""The built-in scorer against NIST's hubscr: rules, alternatives, optional words, fragments, words on the borders of segments."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hub5_cases
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.scoring.alignments import kinds, read_alignments, write_alignments
from pytorch_nnet.scoring.builtin import BuiltinScorer
from pytorch_nnet.scoring.glm import Glm, Rule, parse_rule
from pytorch_nnet.scoring.network import Network, align, equal
from pytorch_nnet.scoring.stm import CtmWord, middles, read_ctm


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    stm, glm, ctm = hub5_cases.make_cases(folder)
    utterances = BuiltinScorer(stm, glm).score(read_ctm(ctm))
    return folder, sorted(utterances, key=lambda utterance: utterance.key)


def test_counts_of_every_case_are_those_hubscr_gave(cases):
    recorded = hub5_cases.COUNTS.read_text().splitlines()
    assert len(recorded) > 400 and hub5_cases.counts_of(cases[1]) == recorded


def test_every_word_is_aligned_as_hubscr_aligns_it_now(cases):
    path = hub5_cases.hubscr(cases[0])
    if path is None:
        pytest.skip("hubscr is not installed; the counts it once gave are compared above")
    theirs = read_alignments(path)
    assert cases[1] == theirs
    for corpus in ("sw", "en"):
        ours, nist = ([u for u in found if u.file.startswith(corpus)] for found in (cases[1], theirs))
        assert kinds(ours) == kinds(nist) and sum(kinds(ours).values()) > 1000


def test_alignment_file_comes_back(cases, tmp_path):
    write_alignments(tmp_path / "a.sgml", cases[1], title="ours")
    assert read_alignments(tmp_path / "a.sgml") == cases[1]
    (tmp_path / "a.sgml").write_text((tmp_path / "a.sgml").read_text().replace('word_cnt="', 'word_cnt="1', 1))
    with pytest.raises(RecipeError, match="contradicts itself"):
        read_alignments(tmp_path / "a.sgml")
    (tmp_path / "a.sgml").write_text("%WER 10.0\n")
    with pytest.raises(RecipeError, match="not an alignment file"):
        read_alignments(tmp_path / "a.sgml")


# --- rules

@pytest.mark.parametrize("line, rule", [
    ("UH => %HESITATION / [ ] __ [ ]", Rule("UH", "%HESITATION", " ", " ")),
    ("[[NOISE]] => / [ ] __ [ ]", Rule("[NOISE]", "", " ", " ")),
    ("CAN'T => {CAN'T / CAN NOT} / [ ] __ [ ]", Rule("CAN'T", "{CAN'T / CAN NOT}", " ", " ")),
    ("T. => TEE / __ [ SHIRT]", Rule("T.", "TEE", "", " SHIRT")),
    ("FALKNER => FAULKNER / [WILLIAM ] __", Rule("FALKNER", "FAULKNER", "WILLIAM ", "")),
    ('"W " => "X Y "', Rule("W ", "X Y ")),
    ("R =>", Rule("R", "")),
    ("no rule", None),
    ("=> X", None),
])
def test_rules_are_read(line, rule):
    assert parse_rule(line) == rule


def glm(tmp_path, *lines):
    (tmp_path / "glm").write_text("\n".join((";; test", "* max_nrules = '9'", "* case_sensitive = 'F'", *lines)) + "\n")
    return Glm.read(tmp_path / "glm", ("stm", "ref"))


def test_rules_apply_in_the_order_of_the_file_to_the_text_as_it_was(tmp_path):
    rules = glm(tmp_path, "a b => c / [ ] __ [ ]", "a => b / [ ] __ [ ]", "b => d / [ ] __ [ ]", "ight => ite", "[[x]] =>")
    assert rules.words("a  b a b! a right [x] (a)") == "c b B! b Rite (b)"  # "a  b": spaces are squeezed first
    assert rules.words("twenty-one th- -ing (two-three w-) {it-is / x}") == "TWENTY ONE TH- -ING (TWO) (THREE) (W-) {IT IS / X}"
    with pytest.raises(RecipeError, match="do not pair"):
        rules.words("a (b (c) d)")


def test_rules_for_one_kind_of_input(tmp_path):
    region = ';; INPUT_DEPENDENT_APPLICATION = "{}"'
    glm(tmp_path, "a => all", region.format("ctm"), "b => ctm", region.format("hyp|ref"), "c => any", region.format("stm"), "d => stm")
    apply = lambda *kinds: Glm.read(tmp_path / "glm", kinds).apply("a b c d")  # noqa: E731
    assert apply("stm", "ref") == "all b any stm" and apply("ctm", "hyp") == "all ctm any d" and apply() == "all b c d"


@pytest.mark.parametrize("lines, message", [
    (["UH -> X"], "bad scoring rule"), (["* format = 'NIST2'"], "unknown format"),
    (["* max_nrules = '1'", "a => b", "b => c"], "more rules"),
])
def test_bad_rule_files_are_refused(tmp_path, lines, message):
    with pytest.raises(RecipeError, match=message):
        glm(tmp_path, *lines)
    (tmp_path / "glm").write_text("UH => X\n")
    with pytest.raises(RecipeError, match="begins with a comment"):
        Glm.read(tmp_path / "glm")


# --- alignment

def test_fragments_and_optional_words():
    assert equal("th-", "that") and equal("(th-)", "th") and equal("-ght", "right") and equal("the", "th-")
    assert not equal("th-", "cat") and not equal("th", "that") and not equal("-", "a") and equal("(uh)", "uh")


def paths(network):
    """Every word sequence of a network, without @."""
    def back(arc):
        if arc == 0:
            return [[]]
        return [[*path, network.words[arc]] for before in network.before[arc] for path in back(before)]
    return [[word for word in path if word != "@"] for arc in network.last for path in back(arc)]


def cheapest(reference, hypothesis):
    """The cost of the best alignment of two word sequences by the full table."""
    table = {}
    for i, j in itertools.product(range(len(reference) + 1), range(len(hypothesis) + 1)):
        options = [0] if i == j == 0 else []
        if i:
            options.append(table[i - 1, j] + (2 if reference[i - 1].startswith("(") else 3))
        if j:
            options.append(table[i, j - 1] + 3)
        if i and j:
            options.append(table[i - 1, j - 1] + (0 if equal(reference[i - 1], hypothesis[j - 1]) else 4))
        table[i, j] = min(options)
    return table[len(reference), len(hypothesis)]


pieces = st.sampled_from(["a", "b", "c", "(a)", "{a / b c}", "{b / @}", "{a / {b / c} a / (c)}", "b-"])


@settings(max_examples=150, deadline=None)
@given(st.lists(pieces, max_size=5), st.lists(st.sampled_from("abc"), max_size=6))
def test_alignment_costs_as_little_as_the_best_path(reference, hypothesis):
    network = Network.of_text(" ".join(reference))
    tokens = align(network, Network.of_items([[[word]] for word in hypothesis]))
    cost = {"C": 0, "S": 4, "D": 3, "I": 3}
    found = sum(2 if token.kind == "C" and not token.hypothesis else cost[token.kind] for token in tokens)
    assert found == min(cheapest(path, hypothesis) for path in paths(network))
    assert [token.hypothesis for token in tokens if token.hypothesis] == hypothesis
    assert [token.reference for token in tokens if token.reference] in paths(network)


def test_a_middle_on_the_border(tmp_path):
    """1.5 is a number in single precision, so the word is the next segment's; 2.1 becomes less, 2.7 more. (hubscr does the same.)"""
    (tmp_path / "stm").write_text("sw_1 A s 0 1.5 a\nsw_1 A s 1.5 2.1 b\nsw_1 A s 2.1 2.7 c\nsw_1 A s 2.7 4 d\n")
    glm(tmp_path)
    words = [CtmWord("sw_1", "A", middle - 0.125, 0.25, word) for middle, word in ((1.5, "b"), (2.1, "c"), (2.7, "c"), (4.5, "d"))]
    said = [[token.hypothesis for token in one.tokens] for one in BuiltinScorer(tmp_path / "stm", tmp_path / "glm").score(words)]
    assert said == [[""], ["b"], ["c", "c"], ["d"]]
    assert middles(CtmWord("sw_1", "A", 1.0, 0.1, "x"), 3) == [begin + 0.033 / 2 for begin in (1.0, 1.033, 1.067)]


def test_words_of_no_side_and_broken_braces_are_refused(tmp_path):
    (tmp_path / "stm").write_text("sw_1 A s 0 1 yes\n")
    glm(tmp_path)
    scorer = BuiltinScorer(tmp_path / "stm", tmp_path / "glm")
    with pytest.raises(RecipeError, match="side that the references lack"):
        scorer.score([CtmWord("sw_1", "B", 0.0, 0.1, "yes")])
    (tmp_path / "stm").write_text("sw_1 A s 0 1 {yes / no\n")
    with pytest.raises(RecipeError, match="without an end"):
        BuiltinScorer(tmp_path / "stm", tmp_path / "glm").score([])
    (tmp_path / "stm").write_text("sw_1 A s 0 one yes\n")
    with pytest.raises(RecipeError, match="malformed stm line"):
        BuiltinScorer(tmp_path / "stm", tmp_path / "glm")
