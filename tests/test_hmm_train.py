"""The training and alignment steps, run as commands on a small corpus with known boundaries."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from pytorch_nnet.hmm.convert import phone_segments
from pytorch_nnet.hmm.model import AcousticModel
from pytorch_nnet.io.archives import read_alignments
from pytorch_nnet.lang.lang_dir import LangDir
from toy_hmm import make_data, make_lang

FAST = ("--num-iters", "8", "--max-iter-inc", "6", "--totgauss", "30", "--realign-iters", "1,2,3,4,5,6,7")
FAST_TREE = ("--num-iters", "4", "--max-iter-inc", "2", "--realign-iters", "3", "--min-leaf-count", "20")

FAST_LDA = (*FAST_TREE, "--dim", "15", "--left-context", "1", "--right-context", "1", "--mllt-iters", "2")
FAST_SAT = (*FAST_TREE, "--fmllr-iters", "2", "--min-count", "100")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    lang = make_lang(folder)
    data, truth = make_data(folder)
    return folder, lang, data, truth


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """The whole ladder once, with two jobs each."""
    from conftest import ROOT

    folder, lang, data, truth = corpus
    exp = folder / "exp"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    for command in (["train_mono", "--nj", "2", *FAST, data, lang, exp / "mono"],
                    ["align_si", "--nj", "2", data, lang, exp / "mono", exp / "mono_ali"],
                    ["train_deltas", "--nj", "2", *FAST_TREE, "30", "80", data, lang, exp / "mono_ali", exp / "tri1"],
                    ["train_lda_mllt", "--nj", "2", *FAST_LDA, "30", "80", data, lang, exp / "tri1", exp / "tri2"],
                    ["train_sat", "--nj", "2", *FAST_SAT, "30", "80", data, lang, exp / "tri2", exp / "tri3"],
                    ["align_fmllr", "--nj", "2", data, lang, exp / "tri3", exp / "tri3_ali"]):
        done = subprocess.run([ROOT / "steps" / command[0], *map(str, command[1:])], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return exp


def boundary_errors(exp, lang, truth):
    """Absolute differences in frames between found and true starts of all phones but silence, which comes and goes as it likes."""
    model, names = AcousticModel.load(exp), LangDir(lang).id2phone
    errors = []
    for utt, path in read_alignments(exp).items():
        segments = phone_segments(path, model.table, utt)
        found = [(names[p], start) for p, start in zip(segments.phones.tolist(), segments.starts.tolist()) if names[p] != "SIL"]
        true = [(phone, start) for phone, start, _ in truth[utt] if phone != "SIL"]
        assert [phone for phone, _ in found] == [phone for phone, _ in true], utt
        errors += [abs(a - b) for (_, a), (_, b) in zip(found, true)]
    return np.array(errors)


@pytest.mark.slow
def test_alignments_find_the_true_boundaries(corpus, trained):
    _, lang, _, truth = corpus
    for system in ("mono_ali", "tri1", "tri2", "tri3_ali"):
        errors = boundary_errors(trained / system, lang, truth)
        assert len(read_alignments(trained / system)) == len(truth)
        assert read_alignments(trained / system, {min(truth)}).keys() == {min(truth)}
        assert (errors <= 3).mean() > 0.85, (system, np.bincount(errors))


@pytest.mark.slow
def test_training_raises_the_likelihood_and_reports_it(trained):
    for system in ("mono", "tri1", "tri2", "tri3"):
        text = (trained / system / "log" / "summary.txt").read_text()
        loglikes = [float(value) for value in re.findall(r"log-likelihood (-?\d+\.\d+) per frame", text)]
        assert len(loglikes) >= 3
        assert loglikes[-1] > loglikes[1] and (np.diff(loglikes[1:]) > -0.3).all(), loglikes
        assert "0 utterances failed" in text and "Gaussians" in text
    model = AcousticModel.load(trained / "tri1")
    assert 8 < model.num_pdfs <= 30 and model.num_pdfs < model.gmm.num_gauss <= 80 and model.tree_map.width == 3
    left = {path.name for path in (trained / "tri1").iterdir()}
    assert left == {"final.mdl", "tree", "cmvn_opts", "feature_opts", "ali.1.gz", "ali.2.gz", "num_jobs", "failed", "log"}


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_jobs(corpus, trained, run, tmp_path):
    _, lang, data, _ = corpus
    assert run("steps/train_mono", "--nj", 3, *FAST, data, lang, "mono").returncode == 0
    assert run("steps/align_si", "--nj", 1, data, lang, "mono", "mono_ali").returncode == 0
    assert run("steps/train_deltas", "--nj", 1, *FAST_TREE, 30, 80, data, lang, "mono_ali", "tri1").returncode == 0
    assert run("steps/train_lda_mllt", "--nj", 1, *FAST_LDA, 30, 80, data, lang, "tri1", "tri2").returncode == 0
    for folder in ("tri3", "tri3_ali"):  # as a run with more jobs left it when it was killed
        (tmp_path / folder).mkdir()
        shutil.copy(trained / "tri3/trans.1", tmp_path / folder / "trans.7")
    assert run("steps/train_sat", "--nj", 3, *FAST_SAT, 30, 80, data, lang, "tri2", "tri3").returncode == 0
    assert run("steps/align_fmllr", "--nj", 1, data, lang, "tri3", "tri3_ali").returncode == 0
    assert not list(tmp_path.glob("tri3*/trans.7"))
    assert (tmp_path / "tri2/final.mat").read_bytes() == (trained / "tri2/final.mat").read_bytes()
    assert (tmp_path / "tri3/final.alimdl").read_bytes() == (trained / "tri3/final.alimdl").read_bytes()
    assert (tmp_path / "tri3_ali/trans.1").read_bytes() == b"".join((trained / f"tri3_ali/trans.{job}").read_bytes() for job in (1, 2))
    for system in ("mono", "mono_ali", "tri1", "tri2", "tri3", "tri3_ali"):
        assert (tmp_path / system / "final.mdl").read_bytes() == (trained / system / "final.mdl").read_bytes()
        assert (tmp_path / system / "tree").read_bytes() == (trained / system / "tree").read_bytes()
        one, two = read_alignments(tmp_path / system), read_alignments(trained / system)
        assert one.keys() == two.keys() and all(np.array_equal(one[utt], two[utt]) for utt in one)


@pytest.mark.slow
def test_ctm_of_phones_and_words(corpus, trained, run, tmp_path):
    _, lang, data, truth = corpus
    for kind in ("phones", "words"):
        assert run("utils/ali_to_ctm", "--write", kind, data, lang, trained / "tri1", f"ctm.{kind}").returncode == 0
    utt = sorted(truth)[0]
    phones = [line.split() for line in (tmp_path / "ctm.phones").read_text().splitlines() if line.startswith(utt)]
    assert [row[4] for row in phones if row[4] != "SIL"] == [phone for phone, _, _ in truth[utt] if phone != "SIL"]
    assert float(phones[-1][2]) + float(phones[-1][3]) == pytest.approx(0.01 * sum(n for _, _, n in truth[utt]))
    words = [line.split() for line in (tmp_path / "ctm.words").read_text().splitlines() if line.startswith(utt)]
    text = (data / "text").read_text().splitlines()[0].split()
    assert [row[4] for row in words] == text[1:]
    assert words[0][2] == phones[1][2]  # the first word starts where the silence ends


@pytest.mark.slow
def test_short_utterances_are_listed_and_limited(corpus, run, tmp_path):
    """One of 32 may fail; when the corpus shrinks to 10, one is too many."""
    from pytorch_nnet.corpus.datadir import DataDir

    _, lang, data, _ = corpus
    whole = DataDir.load(data)
    utt = whole.utts[0]
    whole.text[utt] = ["three"] * 40
    whole.write(tmp_path / "data")
    short = ("--num-iters", 3, "--realign-iters", "1,2")
    done = run("steps/train_mono", "--nj", 2, *short, "data", lang, "mono")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mono" / "failed").read_text().startswith(utt)
    assert utt not in read_alignments(tmp_path / "mono")
    whole.subset(whole.utts[:10]).write(tmp_path / "small")
    done = run("steps/train_mono", "--nj", 2, *short, "small", lang, "mono2")
    assert done.returncode == 1 and "too many utterances" in done.stderr and utt in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "mono2" / "final.mdl").exists()


@pytest.mark.slow
@pytest.mark.parametrize("arguments, message", [
    (("steps/train_mono", "--beam", "50", "DATA", "LANG", "x"), "beams make no sense"),
    (("steps/train_mono", "--totgaus", "50", "DATA", "LANG", "x"), "did you mean 'totgauss'"),
    (("steps/train_mono", "DATA", "nowhere", "x"), "missing input"),
    (("steps/train_deltas", "50", "20", "DATA", "LANG", "MONO_ALI", "x"), "bad model size"),
    (("steps/train_deltas", "3", "20", "DATA", "LANG", "MONO_ALI", "x"), "too few leaves"),
    (("steps/train_deltas", "20", "50", "DATA", "LANG", "nowhere", "x"), "missing input"),
    (("steps/align_si", "DATA", "LANG", "MONO", "MONO"), "overwrite"),
    (("steps/align_si", "DATA", "OTHER", "MONO", "x"), "unknown to the model"),
    (("utils/ali_to_ctm", "--write", "letters", "DATA", "LANG", "MONO", "x"), "phones or words")])
def test_mistakes_are_named(corpus, trained, run, tmp_path, arguments, message):
    _, lang, data, _ = corpus
    other = make_lang(tmp_path / "other", {"one": "a b", "six": "e a"}, ["SIL", "a", "b", "c", "d", "e"])
    places = {"DATA": data, "LANG": lang, "MONO": trained / "mono", "MONO_ALI": trained / "mono_ali", "OTHER": other}
    done = run(*(places.get(word, word) for word in arguments))
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.slow
def test_unknown_words_are_counted(corpus, trained, run, tmp_path):
    from pytorch_nnet.corpus.datadir import DataDir

    _, lang, data, _ = corpus
    whole = DataDir.load(data)
    whole.text[whole.utts[3]][0] = "zebra"
    whole.write(tmp_path / "data")
    done = run("steps/align_si", "data", lang, trained / "mono", "ali")
    assert "1 words (1 different)" in done.stderr and "zebra 1" in done.stderr


@pytest.mark.slow
def test_network_alignment_reads_a_stream(corpus, trained, run, tmp_path):
    """The job takes likelihoods from a pipe; here those of the Gaussians, so the result is that of align_si."""
    from pytorch_nnet.hmm.align_data import AlignDataOptions, align_data
    from pytorch_nnet.io.launcher import python_module

    _, lang, data, _ = corpus
    forward = python_module("pytorch_nnet.decoding.forward", "--job=JOB", "--nj=2", trained / "mono", data, "ark:-")
    align_data(str(data), str(lang), str(trained / "mono"), str(tmp_path / "ali"), AlignDataOptions(nj=2), forward)
    one, two = read_alignments(tmp_path / "ali"), read_alignments(trained / "mono_ali")
    assert one.keys() == two.keys()
    same = np.mean([np.mean(one[utt] == two[utt]) for utt in one])
    assert same > 0.99  # single against double precision may break a tie
