"""What a finished smoke run must have left: read from its files, recomputed where that is possible."""

import csv
import gzip
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from browser import Browser, check_page, find_browser
from pytorch_nnet.corpus.datadir import DataDir, read_text
from pytorch_nnet.decoding.lattice import LatticeReader, best_paths, one_best
from pytorch_nnet.frames.softlabels import SoftLabelStore
from pytorch_nnet.frames.store import FrameStore
from pytorch_nnet.hmm.model import AcousticModel
from pytorch_nnet.io.archives import read_alignments
from pytorch_nnet.lang.lang_dir import LangDir
from pytorch_nnet.scoring.glm import Glm, apply_rules
from pytorch_nnet.scoring.stm import read_ctm
from pytorch_nnet.scoring.tune import choose, read_sweep
from pytorch_nnet.scoring.word_times import compare_starts

ROOT = Path(__file__).resolve().parents[2]

SYSTEMS = ["mono", "tri1", "tri2", "tri3", "dnn", "cnn", "sainath", "lstm1", "lstm2", "ens_lstm_cnn", "ens_2lstm", "ens_2lstm_cnn",
           "self", "student_l0.75_c90"]


def edit_distance(reference: list[str], hypothesis: list[str]) -> int:
    """Written out here, so that the tables are not checked by the code that made them."""
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(hypothesis, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1]


def hypotheses(folder: Path, lmwt, wip) -> dict[str, list[str]]:
    lines = (folder / "scoring" / f"{lmwt}.{wip}.txt").read_text().splitlines()
    return {line.split()[0]: line.split()[1:] for line in lines}


def table1(recipe) -> dict[str, dict[str, str]]:
    with open(recipe / "exp/results/table1.tsv") as file:
        return {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}


@pytest.mark.parametrize("set_name", ["dev", "eval2000"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_wer_files_hold_the_distance_of_the_decoded_words(recipe, system, set_name):
    rules = Glm.read(recipe / "conf/scoring_rules.txt")
    references = read_text(recipe / "data" / set_name / "text")
    folder = recipe / "exp" / system / f"decode_{set_name}_tg"
    words = errors = 0
    decoded = hypotheses(folder, 10, 0.5)
    assert decoded.keys() == references.keys(), "every utterance has a hypothesis"
    for utt, reference in references.items():
        reference, hypothesis = apply_rules(reference, rules), apply_rules(decoded[utt], rules)
        words, errors = words + len(reference), errors + edit_distance(reference, hypothesis)
    found = re.search(r"%WER (\S+) \[ (\d+) / (\d+),", (folder / "wer_10_0.5").read_text())
    assert (int(found[2]), int(found[3])) == (errors, words) and words > 100


def test_systems_differ(recipe):
    texts = [json.dumps(hypotheses(recipe / "exp" / system / "decode_eval2000_tg", 10, 0.0)) for system in SYSTEMS]
    assert len(set(texts)) == len(SYSTEMS), "two systems decoded the very same words"


def test_table_has_every_system_and_its_tuned_figure(recipe):
    rows = table1(recipe)
    assert set(SYSTEMS) <= rows.keys()
    for system in SYSTEMS:
        row = rows[system]
        folder = recipe / "exp" / system
        tuned = f"wer_{row['LMWT']}_{float(row['WIP'])}"
        assert (float(row["LMWT"]), float(row["WIP"])) == choose(read_sweep(folder / "decode_dev_tg")), "the operating point is dev's"
        test = float(re.search(r"%WER (\S+)", (folder / "decode_eval2000_tg" / tuned).read_text())[1])
        assert float(row["test WER %"]) == test


def test_nist_scoring_of_every_system(recipe):
    with open(recipe / "exp/results/table1b.tsv") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {(row["name"], row["part"]) for row in rows} == {(system, part) for system in SYSTEMS for part in ("all", "swbd", "callhm")}
    for row in rows:
        folder = recipe / "exp" / row["name"] / "decode_eval2000_tg" / f"scoring_{row['scorer']}" / row["part"]
        found = re.search(r"%WER (\S+) \[ \d+ / (\d+),", (folder / f"wer_{row['LMWT']}_{float(row['WIP'])}").read_text())
        assert (found[1], found[2]) == (row["WER %"], row["words"]) and float(row["low"]) <= float(row["WER %"]) <= float(row["high"])
    with open(recipe / "exp/results/significance.tsv") as file:
        assert len(list(file)) == 1 + 4 * len(SYSTEMS) * (len(SYSTEMS) - 1) // 2


def test_best_wer_reads_the_files(recipe):
    folder = recipe / "exp/mono/decode_dev_tg"
    lines = subprocess.run(["bash", "-c", f"grep -H WER wer_* | {ROOT}/utils/best_wer.sh"], cwd=folder, text=True,
                           capture_output=True, check=True).stdout
    best = min(float(re.search(r"%WER (\S+)", path.read_text())[1]) for path in folder.glob("wer_*"))
    assert lines.startswith(f"%WER {best:.2f} ")


def test_data_directories_are_valid_and_speakers_disjoint(recipe):
    speakers = {}
    for name in ("train", "dev", "eval2000"):
        for suffix in ("", "_fbank"):
            subprocess.run([ROOT / "utils/validate_data_dir", f"data/{name}{suffix}"], cwd=recipe, check=True, capture_output=True)
        speakers[name] = set(DataDir.load(recipe / "data" / name).spk2utt)
    assert not speakers["train"] & speakers["dev"] and not speakers["train"] & speakers["eval2000"]


def test_prior_scale_is_tuned_on_dev(recipe, tmp_path):
    """Scale 1 gives what stage 9 decoded; the scale with the lowest errors is the one that is written down."""
    options = ["--nj", "1", "--scales", "0.5,1", "--acwt", "0.125", "--beam", "8", "--lattice-beam", "2", "--max-active", "1500"]
    done = subprocess.run([ROOT / "steps/tune_prior_scale", *options, "exp/tri3/graph", "data/dev_fbank", "exp/dnn", tmp_path / "tune"],
                          cwd=recipe, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in (tmp_path / "tune/prior_scales.tsv").read_text().splitlines()]
    errors = {float(scale): int(wrong) for scale, _, _, wrong, _, _ in rows[1:]}
    sweep = read_sweep(recipe / "exp/dnn/decode_dev_tg")
    assert errors[1] == sweep[choose(sweep)].errors and errors.keys() == {0.5, 1}
    assert float((tmp_path / "tune/prior_scale").read_text()) == (0.5 if errors[0.5] < errors[1] else 1)
    refused = subprocess.run([ROOT / "steps/tune_prior_scale", "exp/mono/graph", "data/dev", "exp/mono", tmp_path / "gmm"], cwd=recipe,
                             capture_output=True, text=True)
    assert refused.returncode == 1 and "a GMM has no priors" in refused.stderr


def test_arpa_holds_a_trigram(recipe):
    with gzip.open(recipe / "data/local/lm/3gram.arpa.gz", "rt") as file:
        head = "".join(file.readline() for _ in range(5))
    assert "ngram 3=" in head


def test_word_starts_are_near_the_truth(recipe, tmp_path):
    """DNN alignments against the times the voice reported, after the constant offset; goals at full size are stricter."""
    subprocess.run([ROOT / "utils/ali_to_ctm", "--write", "words", "data/train", "data/lang", "exp/dnn_ali_train", tmp_path / "words.ctm"],
                   cwd=recipe, check=True, capture_output=True)
    truth = [word for path in (recipe / "corpus/smoke/truth").glob("sw*.words.ctm") for word in read_ctm(path)]
    starts = compare_starts(read_ctm(tmp_path / "words.ctm"), truth)
    assert len(starts.errors) > 200 and starts.unmatched == 0
    assert starts.within(0.1) > 0.75, f"only {starts.within(0.1):.2f} of word starts within 100 ms"


def test_labels_agree_with_alignments_and_cuts(recipe):
    from lhotse import load_manifest

    store = FrameStore.open(recipe / "exp/frames_dev")
    model = AcousticModel.load(recipe / "exp/dnn_ali_dev")
    alignments = read_alignments(recipe / "exp/dnn_ali_dev")
    cuts = {cut.id: cut for cut in load_manifest(recipe / "data/dev_fbank/cuts_labels.jsonl.gz")}
    for index, utt in enumerate(store.utts):
        begin, end = store.offsets[index], store.offsets[index + 1]
        expected = model.pdf_of[alignments[utt]]
        assert (store.labels[begin:end] == expected).all()
        assert (cuts[utt].load_pdf_labels() == expected).all()


@pytest.mark.parametrize("before, after", [("tri3", "dnn_pass1"), ("dnn_pass1", "dnn")])
def test_each_pass_learns_the_labels_of_the_one_before(recipe, before, after):
    store, alignment = FrameStore.open(recipe / f"exp/frames_{before}_train"), recipe / f"exp/{before}_ali_train"
    model, alignments = AcousticModel.load(alignment), read_alignments(alignment)
    assert all((store.labels[begin:end] == model.pdf_of[alignments[utt]]).all()
               for utt, begin, end in zip(store.utts, store.offsets, store.offsets[1:]))
    assert json.loads((recipe / f"exp/{after}/.done").read_text())["command"][-3] == f"exp/frames_{before}_train"
    changed = re.search(r"another pdf label +([0-9.]+) %", (recipe / f"exp/{after}_ali_train/log/compare.log").read_text())
    assert changed and 0 < float(changed[1]) < 50


def test_soft_labels_of_the_teacher(recipe):
    store = SoftLabelStore.open(recipe / "exp/soft_ens_2lstm")
    coverage = store.meta["coverage"]
    masses = [row["mass"] for row in coverage]
    assert [row["C"] for row in coverage] == [1, 3, 10, 30, 90] and masses == sorted(masses) and 0 < masses[0] < masses[-1] <= 1
    assert {teacher["name"] for teacher in store.meta["teachers"]} == {"lstm1", "lstm2"}


def test_lattices_give_the_scored_words(recipe):
    words = LangDir(recipe / "data/lang").id2word
    decoded = hypotheses(recipe / "exp/cnn/decode_dev_tg", 9, 0.0)
    for utt, lattice in LatticeReader(recipe / "exp/cnn/decode_dev_tg/lat.1.npz"):
        assert [words[i] for i in best_paths(lattice, [9.0], [0.0])[9.0, 0.0]] == decoded[utt]


def test_systems_decoded_together_are_as_if_decoded_alone(recipe, tmp_path):
    subprocess.run([ROOT / "steps/decode", "--nj", "1", "--cmd", ROOT / "utils/run.py", "--acwt", "0.125", "--beam", "8",
                    "--lattice-beam", "2", "--max-active", "1500", "--model", "exp/ens_2lstm", "--skip-scoring", "true",
                    "exp/tri3/graph", "data/dev_fbank", tmp_path], cwd=recipe, check=True, capture_output=True)
    together = recipe / "exp/ens_2lstm/decode_dev_tg"
    assert (together / "log").resolve() == (recipe / "exp/cnn/decode_dev_tg/log").resolve()
    assert (together / "lat.1.npz").read_bytes() == (tmp_path / "lat.1.npz").read_bytes()


def test_kaldi_decoder_finds_the_same_paths(recipe, tmp_path):
    """The same graph and likelihoods through both searches, at beams wide enough that neither loses the best path."""
    best = {}
    for decoder in ("k2", "kaldi"):
        subprocess.run([ROOT / "steps/decode", "--nj", "1", "--cmd", ROOT / "utils/run.py", "--decoder", decoder, "--acwt", "0.1",
                        "--beam", "13", "--max-active", "7000", "--model", "exp/tri1", "--skip-scoring", "true",
                        "exp/tri1/graph", "data/dev", tmp_path / decoder], cwd=recipe, check=True, capture_output=True)
        best[decoder] = {utt: one_best(lattice, 10.0) for utt, lattice in LatticeReader(tmp_path / decoder / "lat.1.npz")}
    utts = read_text(recipe / "data/dev/text").keys()
    assert best["k2"].keys() == best["kaldi"].keys() == utts
    same_words = 0
    for utt in utts:
        (k2_words, *k2_scores), (kaldi_words, *kaldi_scores) = best["k2"][utt], best["kaldi"][utt]
        costs = [-am / 10 - graph for am, graph in (k2_scores, kaldi_scores)]
        assert abs(costs[0] - costs[1]) < 0.01, utt
        same_words += [word for word, _ in k2_words] == [word for word, _ in kaldi_words]
    assert same_words >= len(utts) - 2  # homophones that the language model never saw tie: either is a best path


def test_one_stage_alone_and_wrong_options(recipe):
    done = run_stage(recipe, 4)
    assert done.returncode == 0 and done.stdout.count("\n") == 1 and "up to date, skipped" in done.stdout
    done = subprocess.run([recipe / "run.sh", "--stge", "4"], capture_output=True, text=True)
    assert done.returncode == 1 and "stge" in done.stderr


@pytest.fixture
def another_recipe(recipe):
    """A recipe folder without data, beside the first: a recipe finds steps and utils through ../.."""
    folder = Path(tempfile.mkdtemp(prefix=recipe.name + ".", dir=recipe.parent))
    for name in ("run.sh", "path.sh", "cmd.sh", "conf", "local", "steps", "utils"):
        (folder / name).symlink_to(f"../switchboard/{name}")
    yield folder
    shutil.rmtree(folder)


def run_stage(recipe, stage):
    return subprocess.run([recipe / "run.sh", "--mini-size", "smoke", "--stage", str(stage), "--stop-stage", str(stage)],
                          capture_output=True, text=True)


def test_a_stage_before_its_inputs_says_what_to_run(another_recipe):
    done = run_stage(another_recipe, 3)
    assert done.returncode == 1 and "missing input" in done.stderr and "--stop-stage 2" in done.stderr


def test_a_kaldi_system_takes_the_place_of_stage_3(recipe, another_recipe):
    """Our own alignments are Kaldi's files; imported as such, they must lead stage 4 to the same labels."""
    shutil.copytree(recipe / "data", another_recipe / "data")
    for name in ("train", "dev"):
        subprocess.run([ROOT / "local/import_kaldi_system", recipe / f"exp/tri3_ali_{name}", f"data/{name}", "data/lang",
                        f"exp/tri3_ali_{name}"], cwd=another_recipe, check=True, capture_output=True)
    done = run_stage(another_recipe, 4)
    assert done.returncode == 0, done.stderr
    for name in ("frames_tri3_train", "frames_tri3_dev", "frames_train", "frames_dev"):
        stores = [FrameStore.open(folder / "exp" / name) for folder in (recipe, another_recipe)]
        assert stores[0].utts == stores[1].utts and (stores[0].labels[:] == stores[1].labels[:]).all()


def test_the_report_shows_the_run(recipe, tmp_path):
    content = (recipe / "exp/results/report.html").read_text()
    for anchor in ("results", "fer-wer", "curves", "phones", "features", "transcripts", "cost"):
        assert f'<h2 id="{anchor}">' in content, anchor
    assert "n/a: " not in content, "a section whose files are missing"
    utterances = read_text(recipe / "data/eval2000/text")
    assert content.count("<h5>") == len(utterances) and all(f"<h5>{utt} " in content for utt in utterances)
    assert content.count('<figure class="panel">') == 7 and content.count("data:image/png") == 1
    for row in table1(recipe).values():
        assert f'<td class="n">{row["test WER %"]}</td>' in content
    stages = re.findall(r"<td[^>]*>run.sh (\d+)</td>", content)
    assert [int(stage) for stage in stages] == list(range(11)), "time and memory of every stage"
    assert "make_mini_corpus corpus/" in content
    if find_browser():
        browser = Browser(tmp_path)
        assert check_page(browser, recipe / "exp/results/report.html", 390) == 1
        browser.close()
