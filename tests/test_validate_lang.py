"""utils/validate_lang: what Kaldi's validate_lang.pl refuses is refused, by name."""

import shutil

import kaldifst
import pytest

from pytorch_nnet.decoding.validate_lang import validate_lang
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.lang.grammar import write_grammar
from pytorch_nnet.lang.lang_dir import LangDir
from toy_hmm import make_lang

ARPA = ("\\data\\\nngram 1=4\nngram 2=2\n\n\\1-grams:\n-1\t</s>\n-99\t<s>\t-0.3\n-0.7\tone\t-0.2\n-0.9\ttwo\n\n"
        "\\2-grams:\n-0.4\t<s> one\n-0.6\tone two\n\n\\end\\\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lang")
    make_lang(folder)
    (folder / "x.arpa").write_text(ARPA)
    write_grammar(folder / "x.arpa", LangDir(folder / "lang"))
    return folder / "lang"


@pytest.fixture
def lang(made, tmp_path):
    shutil.copytree(made, tmp_path / "lang")
    return tmp_path / "lang"


def edit(lang, name, old, new):
    text = (lang / name).read_text()
    assert old in text, name
    (lang / name).write_text(text.replace(old, new, 1))


def test_what_the_recipe_makes_is_valid(lang, run):
    assert "11 words, 2 silence and 4 other phones" in validate_lang(lang) and "G.fst" in validate_lang(lang)
    done = run("utils/validate_lang", "--skip-determinization-check", lang)
    assert done.returncode == 0 and "is valid" in done.stdout
    (lang / "G.fst").unlink()
    assert validate_lang(lang).endswith("no G.fst yet")
    done = run("utils/validate_lang", lang / "nowhere")
    assert done.returncode == 1 and "words.txt" in done.stderr and "Traceback" not in done.stderr


# phones: 1 SIL 2 SPN 3-6 a-d 7 #0 8 #1 ...
@pytest.mark.parametrize(
    "name, old, new, message",
    [
        ("words.txt", "<eps> 0", "<eps> 99", "wrong number"),
        ("words.txt", "#0", "zero", "symbol missing"),
        ("words.txt", "one 7", "one 6", "bad line in a symbol table"),
        ("words.txt", "one ", "one\u00a0x ", "bad line in a symbol table"),
        ("words.txt", "<s> ", "three3 ", "word without a pronunciation"),
        ("phones.txt", "<eps> 0", "<s> 0", "symbol missing"),
        ("phones.txt", "d 6", "e 6", "bad line of phones|numbers disagree"),
        ("phones.txt", "<eps> 0", "<eps> 0\n<s> 77", "word of the grammar among the phones"),
        ("phones.txt", "<eps> 0", "<eps> 0\nextra 77", "phone in no class"),
        ("phones/silence.int", "2\n", "3\n", "numbers disagree"),
        ("phones/silence.csl", "1:2", "1:3", "numbers disagree"),
        ("phones/silence.int", "2\n", "", "numbers disagree"),
        ("phones/nonsilence.txt", "a\n", "\n", "empty line"),
        ("phones/sets.int", "3\n", "3 4\n", "numbers disagree"),
        ("oov.int", "1", "3", "numbers disagree"),
        ("phones/align_lexicon.int", " 3 4\n", " 4 3\n", "numbers disagree"),
        ("phones/wdisambig_words.int", "12", "3", "disambiguation symbol of words"),
        ("topo", "3 4 5 6", "3 4 5", "topo and phones disagree"),
        ("topo", "0.75", "0.5", "bad state in a topology"),
        ("topo", "<PdfClass> 1", "", "topology"),
    ],
)
def test_a_table_that_contradicts_another_is_named(lang, name, old, new, message):
    if name == "phones/wdisambig_words.int":
        old = (lang / name).read_text().strip()
    if name == "oov.int":
        old = (lang / name).read_text().strip()
        new = "99"
    if (name, old) == ("words.txt", "one 7"):
        old, new = f"one {LangDir(lang).words['one']}\n", f"one {LangDir(lang).words['two']}\n"
    edit(lang, name, old, new)
    with pytest.raises(RecipeError, match=message) as error:
        validate_lang(lang)
    assert error.value.file and error.value.next


def both(lang, stem, change):
    """Changes a file of phones and writes the numbers and the list that go with it."""
    phones = LangDir(lang).phones
    lines = change((lang / f"{stem}.txt").read_text().splitlines())
    (lang / f"{stem}.txt").write_text("".join(f"{line}\n" for line in lines))
    ids = [" ".join(str(phones.get(word, word)) for word in line.split()) for line in lines]
    (lang / f"{stem}.int").write_text("".join(f"{line}\n" for line in ids))
    if (lang / f"{stem}.csl").exists():
        (lang / f"{stem}.csl").write_text(":".join(ids) + "\n")


@pytest.mark.parametrize(
    "stem, change, message",
    [
        ("phones/silence", lambda lines: lines + ["a"], "phone in two classes"),
        ("phones/silence", lambda lines: ["SPN", "SPN"], "bad line of phones"),
        ("phones/silence", lambda lines: lines[:1], "phone in no class"),
        ("phones/nonsilence", lambda lines: [], "no phones|phone in no class"),
        ("phones/optional_silence", lambda lines: ["a"], "not one silence phone"),
        ("phones/optional_silence", lambda lines: ["SIL", "SPN"], "not one silence phone"),
        ("phones/context_indep", lambda lines: ["#0"], "bad name of a phone"),
        ("phones/disambig", lambda lines: lines[:-1], "phone in no class"),
        ("phones/wdisambig_phones", lambda lines: ["#1"], "disambiguation symbol of words"),
        ("phones/sets", lambda lines: lines[:-1], "phone without a line"),
        ("phones/sets", lambda lines: [*lines, "a"], "each once"),
        ("phones/roots", lambda lines: lines[1:], "phone without a line"),
        ("phones/roots", lambda lines: ["shared SIL", *lines[1:]], "tree roots"),
        ("phones/extra_questions", lambda lines: ["a #0"], "phones with HMMs"),
        ("phones/word_boundary", lambda lines: ["SIL nonword", "SPN nonword", "a begin", "b end", "c internal"], "phone without a line"),
        ("phones/word_boundary", lambda lines: ["SIL nowhere"], "word boundaries"),
    ],
)
def test_phones_in_the_wrong_place_are_named(lang, stem, change, message):
    if stem.endswith("word_boundary"):
        (lang / f"{stem}.txt").write_text("")
    both(lang, stem, change)
    with pytest.raises(RecipeError, match=message):
        validate_lang(lang)


@pytest.mark.parametrize(
    "name",
    [
        "phones/silence.txt",
        "phones/sets.int",
        "phones/disambig.csl",
        "topo",
        "L.fst",
        "L_disambig.fst",
        "oov.txt",
        "phones/align_lexicon.txt",
        "phones.txt",
        "phones/roots.txt",
        "phones/extra_questions.int",
    ],
)
def test_a_missing_file_is_named(lang, name):
    (lang / name).unlink()
    with pytest.raises(RecipeError, match="missing input") as error:
        validate_lang(lang)
    assert str(error.value.file).endswith(name)


def arcs(path, change):
    """Rewrites a transducer arc by arc, in OpenFst's text form."""
    fst = kaldifst.StdVectorFst.read(str(path))
    lines = fst.to_str(show_weight_one=True).splitlines()
    kaldifst.compile("\n".join(change([line.split() for line in lines])) + "\n").write(str(path))


def relabelled(place, old, new):
    return lambda lines: [
        " ".join([*line[:place], str(new), *line[place + 1 :]]) if len(line) > 3 and line[place] == str(old) else " ".join(line)
        for line in lines
    ]


def without(column, label):
    return lambda lines: [" ".join(line) for line in lines if len(line) < 4 or line[column] != str(label)]


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("L.fst", lambda phones, words: relabelled(2, phones["a"], 99), "tables do not have"),
        ("L.fst", lambda phones, words: relabelled(2, phones["a"], phones["#1"]), "tables do not have"),
        ("L.fst", lambda phones, words: relabelled(3, words["two"], 99), "tables do not have"),
        ("L.fst", lambda phones, words: relabelled(3, words["two"], words["two"] - 1), "cannot say"),
        ("L_disambig.fst", lambda phones, words: without(2, phones["#0"]), "does not pass #0"),
        ("G.fst", lambda phones, words: relabelled(2, words["two"], words["<s>"]), "no grammar may have"),
        ("G.fst", lambda phones, words: relabelled(2, words["two"], words["one"]), "not sorted or not"),
        ("G.fst", lambda phones, words: relabelled(3, words["two"], words["#0"]), "no grammar may have"),
        ("G.fst", lambda phones, words: relabelled(2, words["two"], 0), "no grammar may have"),
    ],
)
def test_transducers_that_do_not_fit_the_tables_are_named(lang, name, change, message):
    tables = LangDir(lang)
    arcs(lang / name, change(tables.phones, tables.words))
    with pytest.raises(RecipeError, match=message) as error:
        validate_lang(lang)
    assert name in str(error.value.file)


def test_arcs_in_another_order_are_named(lang):
    for name, kind in (("L.fst", "ilabel"), ("L_disambig.fst", "ilabel")):
        shutil.copy(lang / name, lang / "whole")
        fst = kaldifst.StdVectorFst.read(str(lang / name))
        kaldifst.arcsort(fst, kind)
        fst.write(str(lang / name))
        with pytest.raises(RecipeError, match="not sorted by word") as error:
            validate_lang(lang)
        assert name in str(error.value.file)
        (lang / "whole").rename(lang / name)


def test_a_transducer_that_is_none_is_named(lang):
    for name in ("L.fst", "L_disambig.fst", "G.fst"):
        whole = (lang / name).read_bytes()
        for content in (b"x", whole[:40], b""):
            (lang / name).write_bytes(content)
            with pytest.raises(RecipeError, match="FST|empty input") as error:
                validate_lang(lang)
            assert name in str(error.value.file)
        (lang / name).write_bytes(whole)
