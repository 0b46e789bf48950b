"""Dictionary, lang directory, lexicon transducers, G.fst."""

import gzip
import math

import kaldifst
import numpy as np
import pytest

from pytorch_nnet.decoding.validate_lang import validate_lang
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.lang.arpa import read_arpa, write_arpa
from pytorch_nnet.lang.grammar import check_no_silent_cycle, write_grammar
from pytorch_nnet.lang.lang_dir import LangDir, write_lang
from pytorch_nnet.lang.lexicon import Dictionary, add_disambiguation
from pytorch_nnet.lang.ngram import estimate
from pytorch_nnet.lang.topology import bakis, silence
from pytorch_nnet.lang.units import UnitLexicon, Units

LEXICON = ["b B IY", "bee B IY", "be B IY", "a AH", "a EY", "beat B IY T", "Zed Z EH D", "<unk> SPN"]
FILES = {"lexicon.txt": LEXICON, "silence_phones.txt": ["SIL", "SPN"], "optional_silence.txt": ["SIL"],
         "nonsilence_phones.txt": ["AH", "B", "D", "EH", "EY IY", "T", "Z"],
         "extra_questions.txt": ["AH EH EY IY", "B D T"]}


def dictionary_folder(path, **changed):
    path.mkdir(exist_ok=True)
    for name, lines in {**FILES, **{key.replace("__", "."): value for key, value in changed.items()}}.items():
        (path / name).write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture
def lang(tmp_path):
    return write_lang(Dictionary.load(dictionary_folder(tmp_path / "dict"), "<unk>"), "<unk>", tmp_path / "lang")


def test_tables(lang):
    lang = LangDir(lang.folder)
    assert list(lang.phones) == "<eps> SIL SPN AH B D EH EY IY T Z #0 #1 #2 #3 #4".split()
    assert list(lang.words) == "<eps> <unk> Zed a b be beat bee #0 <s> </s>".split()
    assert [list(table.values()) for table in (lang.phones, lang.words)] == [list(range(16)), list(range(11))]
    assert (lang.silence_phones, lang.optional_silence, lang.oov, lang.disambig) == ([1, 2], 1, 1, [11, 12, 13, 14, 15])
    assert lang.nonsilence_phones == list(range(3, 11))
    assert set(lang.lexicon) == {(line.split()[0], tuple(line.split()[1:])) for line in LEXICON}
    assert (lang.folder / "phones/roots.int").read_text().splitlines()[:2] == ["shared split 1", "shared split 2"]
    assert "shared split 7 8" in (lang.folder / "phones/roots.int").read_text().splitlines()
    assert (lang.folder / "phones/extra_questions.int").read_text() == "3 6 7 8\n4 5 9\n"
    assert (lang.folder / "phones/disambig.csl").read_text() == "11:12:13:14:15\n"
    assert "<eps> <eps> SIL" in (lang.folder / "phones/align_lexicon.txt").read_text().splitlines()


def test_phones_in_their_places(tmp_path):
    """Kaldi's prepare_lang.sh with position-dependent phones: names, shared roots, questions, boundaries, the lexicon's paths."""
    dictionary = Dictionary.load(dictionary_folder(tmp_path / "dict"), "<unk>")
    lang = write_lang(dictionary, "<unk>", tmp_path / "lang", position_dependent=True)
    validate_lang(lang.folder)
    assert list(lang.phones)[:11] == "<eps> SIL SIL_B SIL_E SIL_I SIL_S SPN SPN_B SPN_E SPN_I SPN_S".split()
    assert list(lang.phones)[11:15] == "AH_B AH_E AH_I AH_S".split()

    def lines(name):
        return (lang.folder / "phones" / name).read_text().splitlines()

    assert lines("sets.txt")[0] == "SIL SIL_B SIL_E SIL_I SIL_S" and "EY_B EY_E EY_I EY_S IY_B IY_E IY_I IY_S" in lines("sets.txt")
    assert lines("roots.txt")[2] == "shared split AH_B AH_E AH_I AH_S"
    assert {"SIL nonword", "SIL_S singleton", "AH_B begin", "AH_E end", "AH_I internal", "AH_S singleton"} <= set(lines("word_boundary.txt"))
    questions = [set(line.split()) for line in lines("extra_questions.txt")]
    assert {f"{phone}_{place}" for phone in "BDT" for place in "BEIS"} in questions
    assert {f"{phone}_E" for phone in "AH B D EH EY IY T Z".split()} in questions and {"SIL", "SPN"} in questions
    assert ("Zed", ("Z_B", "EH_I", "D_E")) in lang.lexicon and ("a", ("AH_S",)) in lang.lexicon and ("<unk>", ("SPN_S",)) in lang.lexicon
    found = phone_sequences(kaldifst.StdVectorFst.read(str(lang.path("L.fst"))), lang, ["b"])
    assert found.keys() == {(*before, "B_B", "IY_E", *after) for before in ((), ("SIL",)) for after in ((), ("SIL",))}
    assert {lang.bare_phone[phone] for phone in lang.nonsilence_phones} == set("AH B D EH EY IY T Z".split())
    assert lang.bare_phone[lang.phones["SIL_S"]] == "SIL"


def test_units_of_ctc_have_no_places(tmp_path):
    dictionary = Dictionary.load(dictionary_folder(tmp_path / "dict"), "<unk>")
    plain, placed = (write_lang(dictionary, "<unk>", tmp_path / name, position_dependent=name == "placed") for name in ("plain", "placed"))
    for kind in ("phones", "graphemes"):
        units = Units.of_lang(placed, kind)
        assert units == Units.of_lang(plain, kind)
        words = ["bee", "Zed", "what"]
        assert UnitLexicon(units, placed).of_words(words) == UnitLexicon(units, plain).of_words(words)


def test_disambiguation_makes_pronunciations_prefix_free():
    marked, largest = add_disambiguation([(line.split()[0], tuple(line.split()[1:])) for line in LEXICON])
    sequences = [phones for _, phones in marked]
    assert largest == 3 and len(set(sequences)) == len(sequences)
    for one in sequences:
        assert not any(other[:len(one)] == one for other in sequences if other is not one)
    assert ("beat", ("B", "IY", "T")) in marked  # nothing is added where nothing is needed


def phone_sequences(fst, lang, words):
    """{phone sequence: cost} of every path of the transducer for a word sequence."""
    acceptor = kaldifst.make_linear_acceptor([lang.words[word] for word in words])
    composed = kaldifst.compose(fst, acceptor)
    found = {}

    def walk(state, phones, cost):
        if not math.isinf(composed.final(state).value):
            found[tuple(phones)] = cost + composed.final(state).value
        for arc in kaldifst.ArcIterator(composed, state):
            name = lang.id2phone[arc.ilabel]
            walk(arc.nextstate, phones + ([] if name == "<eps>" else [name]), cost + arc.weight.value)

    walk(composed.start, [], 0.0)
    return found


def test_lexicon_transducer_accepts_exactly_the_pronunciations(lang):
    plain = kaldifst.StdVectorFst.read(str(lang.path("L.fst")))
    found = phone_sequences(plain, lang, ["a", "Zed"])
    expected = {(*before, vowel, *between, "Z", "EH", "D", *after)
                for vowel in ("AH", "EY") for before in ((), ("SIL",)) for between in ((), ("SIL",))
                for after in ((), ("SIL",))}
    assert found.keys() == expected
    assert all(cost == pytest.approx(3 * math.log(2), abs=1e-5) for cost in found.values())
    marked = kaldifst.StdVectorFst.read(str(lang.path("L_disambig.fst")))
    assert ("SIL", "#4", "B", "IY", "#2", "SIL", "#4") in phone_sequences(marked, lang, ["bee"])
    assert ("#0", "AH") in phone_sequences(marked, lang, ["#0", "a"])


def test_silence_probability(tmp_path):
    dictionary = Dictionary.load(dictionary_folder(tmp_path / "dict"), "<unk>")
    lang = write_lang(dictionary, "<unk>", tmp_path / "lang", sil_prob=0.2)
    found = phone_sequences(kaldifst.StdVectorFst.read(str(lang.path("L.fst"))), lang, ["Zed"])
    assert math.exp(-found["SIL", "Z", "EH", "D"]) == pytest.approx(0.2 * 0.8, abs=1e-5)
    with pytest.raises(RecipeError, match="silence probability"):
        write_lang(dictionary, "<unk>", tmp_path / "lang", sil_prob=1.0)


def test_topology_reads_in_kaldi_hmm_gmm(lang):
    khg = pytest.importorskip("kaldi_hmm_gmm")
    topology = khg.HmmTopology()
    topology.read((lang.folder / "topo").read_text())
    topology.check()
    assert list(topology.phones) == list(range(1, 11))
    assert [topology.num_pdf_classes(phone) for phone in (1, 3)] == [5, 3]


@pytest.mark.parametrize("transitions", [bakis(1), bakis(3), silence(3), silence(5)])
def test_topology_is_a_distribution(transitions):
    for state, leaving in enumerate(transitions):
        assert sum(probability for _, probability in leaving) == pytest.approx(1.0)
        assert state in dict(leaving)
    assert len(transitions) in dict(transitions[-1])


@pytest.mark.parametrize("changed, message", [
    ({"lexicon__txt": [*LEXICON, "new XX"]}, "unknown phone"),
    ({"lexicon__txt": [*LEXICON, "new"]}, "empty pronunciation"),
    ({"lexicon__txt": [*LEXICON, ""]}, "empty pronunciation"),
    ({"lexicon__txt": [*LEXICON, "a EY"]}, "given twice"),
    ({"lexicon__txt": [*LEXICON, "#1 EY"]}, "reserved"),
    ({"lexicon__txt": LEXICON[:-1]}, "no pronunciation"),
    ({"lexicon__txt": []}, "empty input"),
    ({"optional_silence__txt": ["AH"]}, "optional silence"),
    ({"nonsilence_phones__txt": [*FILES["nonsilence_phones.txt"], "SPN"]}, "phone given twice"),
    ({"extra_questions__txt": ["AH QQ"]}, "unknown phone"),
])
def test_bad_dictionaries(tmp_path, changed, message):
    with pytest.raises(RecipeError, match=message):
        Dictionary.load(dictionary_folder(tmp_path / "dict", **changed), "<unk>")


def test_transcripts(lang):
    assert lang.to_ids(["a", "what", "Zed"]) == ([3, 1, 2], 1)
    ids, unknown = lang.transcripts({"u1": ["a"] * 19 + ["what"]})
    assert ids["u1"] == [3] * 19 + [1] and unknown == {"what": 1}
    with pytest.raises(RecipeError, match="A \\(2\\), ZED \\(1\\)"):
        lang.transcripts({"u1": ["A", "ZED"], "u2": ["A", "a"]})


def test_prepare_lang_step(run, tmp_path):
    dictionary_folder(tmp_path / "dict")
    done = run("steps/prepare_lang", "--num-sil-states", 3, "dict", "<unk>", "lang")
    assert done.returncode == 0 and "7 words, 8 pronunciations" in done.stderr
    before = (tmp_path / "lang/L_disambig.fst").read_bytes()
    (tmp_path / "dict/lexicon.txt").write_text("a QQ\n")
    failed = run("steps/prepare_lang", "dict", "<unk>", "lang")
    assert failed.returncode == 1 and "lexicon.txt:1" in failed.stderr and "Traceback" not in failed.stderr
    assert (tmp_path / "lang/L_disambig.fst").read_bytes() == before
    missing = run("steps/format_lm", "no.arpa", "lang")
    assert missing.returncode == 1 and "missing input" in missing.stderr


SENTENCES = [line.split() for line in ("a b be", "a b", "be a b beat", "Zed", "b a beat bee", "a a b", "what a b")]


def g_cost(fst, lang, words):
    """Cost of a word sequence in G, back-off taken only where there is no arc for the word."""
    state, cost, backoff = fst.start, 0.0, lang.words["#0"]
    for label in [*(lang.words[word] for word in words), None]:
        while True:
            arcs = {arc.ilabel: arc for arc in kaldifst.ArcIterator(fst, state)}
            if label is None and not math.isinf(fst.final(state).value):
                return cost + fst.final(state).value
            arc = arcs.get(label) or arcs.get(backoff) or arcs[0]
            state, cost = arc.nextstate, cost + arc.weight.value
            if arc.ilabel == label:
                assert arc.olabel == label
                break


def test_grammar_weights_equal_the_model(lang, tmp_path):
    model = estimate(SENTENCES, lang.vocabulary)
    write_arpa(tmp_path / "lm.arpa.gz", model)
    grammar = write_grammar(tmp_path / "lm.arpa.gz", lang)
    assert grammar.dropped == grammar.unreachable == []
    fst = kaldifst.StdVectorFst.read(str(lang.path("G.fst")))
    for words in (*SENTENCES[:-1], ["Zed", "bee", "Zed"], ["<unk>"], ["bee", "bee"], ["b", "be", "a", "b"]):
        expected = -math.log(10) * model.score([model.ids[word] for word in words]).sum()
        assert g_cost(fst, lang, words) == pytest.approx(expected, abs=1e-3), words


def test_grammar_from_an_outside_unigram(lang, tmp_path):
    arpa = tmp_path / "ug.arpa"
    arpa.write_text("free text\n\\data\\\nngram 1=5\n\n\\1-grams:\n-99 <s>\n-0.6 </s>\n"
                    "-0.6 a\n-0.6 b\n-0.6 HALL\n\n\\end\\\n")
    with pytest.raises(RecipeError, match="HALL"):
        write_grammar(arpa, lang)
    assert not (lang.folder / "G.fst").exists()
    grammar = write_grammar(arpa, lang, drop_unknown=True)
    assert grammar.dropped == ["HALL"] and grammar.unreachable == ["<unk>", "Zed", "be", "beat", "bee"]
    fst = kaldifst.StdVectorFst.read(str(lang.path("G.fst")))
    assert g_cost(fst, lang, ["a", "b"]) == pytest.approx(1.8 * math.log(10), abs=1e-4)


def test_grammar_drops_every_ngram_of_a_dropped_word(lang, tmp_path):
    model = estimate([*SENTENCES, ["a", "HALL", "b"]], [*lang.vocabulary, "HALL"])
    write_arpa(tmp_path / "lm.arpa", model)
    write_grammar(tmp_path / "lm.arpa", lang, drop_unknown=True)
    fst = kaldifst.StdVectorFst.read(str(lang.path("G.fst")))
    expected = -math.log(10) * model.score([model.ids[word] for word in SENTENCES[2]]).sum()
    assert g_cost(fst, lang, SENTENCES[2]) == pytest.approx(expected, abs=1e-3)


def test_cycles_without_words_are_found():
    text = "0 1 5 5 1.0\n1 2 9 0 0.5\n2 {} 9 0 0.5\n2 0 6 6\n1\n"
    assert check_no_silent_cycle(kaldifst.compile(text.format(3) + "3 0 7 7\n"), 9, file="G") == 5
    with pytest.raises(RecipeError, match="cycle without words"):
        check_no_silent_cycle(kaldifst.compile(text.format(1)), 9, file="G")


@pytest.mark.slow
def test_lm_steps(run, lang, tmp_path):
    (tmp_path / "text").write_text("".join(f"u{i} {' '.join(words)}\n" for i, words in enumerate(SENTENCES)))
    done = run("steps/train_lm", "--dev-text", "text", "text", "lang", "lm/3gram.arpa.gz")
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "lm/3gram.perplexity.txt").read_text()
    assert "1 OOV (5.00 %), perplexity" in report and "1 OOV (5.00 %), vocabulary of" in report
    done = run("steps/format_lm", "lm/3gram.arpa.gz", "lang")
    assert done.returncode == 0 and (tmp_path / "lang/G.fst").exists(), done.stderr
    before = (tmp_path / "lang/G.fst").read_bytes()
    run("steps/train_lm", "--order", 1, "text", "lang", "lm/1gram.arpa.gz")
    done = run("steps/format_lm", "lm/1gram.arpa.gz", "lang", "lang_ug")
    assert done.returncode == 0 and "1 states" in done.stderr, done.stderr
    assert (tmp_path / "lang/G.fst").read_bytes() == before != (tmp_path / "lang_ug/G.fst").read_bytes()
    assert (tmp_path / "lang_ug/phones/silence.int").read_bytes() == (tmp_path / "lang/phones/silence.int").read_bytes()
    again = (tmp_path / "lm/3gram.arpa.gz").read_bytes()
    run("steps/train_lm", "text", "lang", "lm/3gram.arpa.gz")
    assert (tmp_path / "lm/3gram.arpa.gz").read_bytes() == again
    (tmp_path / "text").write_text("u1 NONE OF THESE\n")
    failed = run("steps/train_lm", "text", "lang", "lm/3gram.arpa.gz")
    assert failed.returncode == 1 and "too many words outside the lexicon" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_arpa_of_the_steps_is_gzip(tmp_path):
    write_arpa(tmp_path / "a.arpa.gz", estimate(SENTENCES, ["a", "b"]))
    assert gzip.open(tmp_path / "a.arpa.gz", "rt").readline() == "\\data\\\n"
    assert np.isclose(read_arpa(tmp_path / "a.arpa.gz").orders[0].logprob[0], -99)
