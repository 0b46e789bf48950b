"""Dictionaries, lang directories, language models."""

import gzip

import numpy as np

from fuzz.corpus import temporary
from fuzz.harness import Files, target
from fuzz.kaldi import each
from pytorch_nnet.decoding.validate_lang import validate_lang
from pytorch_nnet.hmm.topology import read_topology
from pytorch_nnet.lang.arpa import read_arpa, write_arpa
from pytorch_nnet.lang.lang_dir import LangDir, read_symbols, write_lang
from pytorch_nnet.lang.lexicon import Dictionary
from pytorch_nnet.lang.model import perplexity

ARPA = (
    "free text\n\n\\data\\\nngram 1=5\nngram 2=4\nngram 3=2\n\n\\1-grams:\n-1.5\t</s>\n-99\t<s>\t-0.3\n-0.7\ta\t-0.2\n-0.9\tb\t-0.1\n-1.2\t<unk>\n\n"
    "\\2-grams:\n-0.4\t<s> a\t-0.2\n-0.6\ta b\t-0.1\n-0.5\tb </s>\n-0.8\ta </s>\n\n\\3-grams:\n-0.2\t<s> a b\n-0.3\ta b </s>\n\n\\end\\\n"
).encode()


def dictionary_files() -> Files:
    return {
        "dict/lexicon.txt": b"<unk> SPN\n!SIL SIL\nhello h e l o\nit's i t s\nhello h a l o\nis i s\n\xc3\xa9t\xc3\xa9 e t e\n",
        "dict/silence_phones.txt": b"SIL\nSPN NSN\n",
        "dict/nonsilence_phones.txt": b"h\ne a\nl\no\ni\nt\ns\n",
        "dict/optional_silence.txt": b"SIL\n",
        "dict/extra_questions.txt": b"e a i o\nh l t s\n",
    }


@target(dictionary_files)
def dictionary():
    found = Dictionary.load("dict", "<unk>")
    lang = write_lang(found, "<unk>", "lang")
    assert lang.id2word[lang.oov] == "<unk>" and lang.lexicon == sorted(
        set(found.lexicon), key=lambda e: " ".join((e[0], e[0], *e[1])).encode()
    )
    assert [lang.id2phone[phone] for phone in lang.silence_phones] == found.silence_phones
    assert set(read_topology("lang/topo").phones.tolist()) == {*lang.silence_phones, *lang.nonsilence_phones}
    validate_lang("lang")


def lang_files() -> Files:
    def write(folder):
        for name, content in dictionary_files().items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        write_lang(Dictionary.load(folder / "dict", "<unk>"), "<unk>", folder / "lang")
        for path in (folder / "dict").iterdir():
            path.unlink()

    return temporary(write)


@target(lang_files)
def lang_directory():
    lang = LangDir("lang")
    lang.words, lang.phones, lang.vocabulary, lang.disambig, lang.oov, lang.optional_silence  # noqa: B018  (each reads its file)
    assert all(word and phones for word, phones in lang.lexicon) and lang.silence_phones and lang.nonsilence_phones
    read_topology("lang/topo")
    validate_lang("lang")


@target(lambda: {"words.txt": b"<eps> 0\na 1\nb 2\n#0 3\n"})
def symbols():
    table = read_symbols("words.txt")
    assert table and all(number >= 0 for number in table.values())


@target(lambda: {"x.arpa": ARPA, "y.arpa.gz": gzip.compress(ARPA, mtime=0)})
@each("x.arpa", "y.arpa.gz")
def arpa(name):
    model = read_arpa(name)
    for copy in ("again.arpa", "again.arpa.gz"):
        write_arpa(copy, model)
        again = read_arpa(copy)
        assert again.words == model.words and len(again.orders) == len(model.orders)
        for one, two in zip(again.orders, model.orders):
            assert np.array_equal(one.parent, two.parent) and np.array_equal(one.word, two.word)
            assert np.allclose(one.logprob, two.logprob, rtol=1e-5) and np.allclose(one.backoff, two.backoff, rtol=1e-5, atol=1e-30)
    assert perplexity([["a", "b"], ["x"]], model).value > 0
