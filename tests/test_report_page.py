"""The report: its parts from small inputs, and the whole page in a browser."""

import json
import os
import re
import shutil
import subprocess
import sys
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from browser import PICTURES, WIDTH, Browser, check_page, find_browser
from conftest import ROOT
from pytorch_nnet.hmm.aligned import Span
from pytorch_nnet.scoring.confusions import Confusions, phones_of_classes, read_confusions, write_confusions
from pytorch_nnet.scoring.costs import stage_costs
from pytorch_nnet.scoring.page import charts, curves, markdown, phones, svg, transcripts
from pytorch_nnet.scoring.page.cost import cost_table, seconds_text
from pytorch_nnet.scoring.page.document import Section, document
from pytorch_nnet.scoring.page.utterance import draw, png
from pytorch_nnet.scoring.transcripts import TimedToken, Transcript, aligned, frequent, with_times
from pytorch_nnet.training.records import Change, changes
from toy_lattices import decoded

VOID = {"meta", "link", "img", "br"}
NASTY = '<script>alert("1")</script> & \'co\''


class Balanced(HTMLParser):
    """Checks that tags pair; collects text and the tags met."""

    def __init__(self, content):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(content)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append(data)


# --- Markdown

DOCUMENT = """\
# Title

A *word* and `code <b>` over
two lines, **strong**; 3 * 4 * 5.

## Table

| system | WER % |
| --- | ---: |
| a & b | 12.5 |
| c | n/a |

1. first **held**

   - inner: one
   - inner: two

2. second

- plain
- list

n/a and doubtful:

- reason

![words](picture.png)
""".splitlines()


def test_markdown():
    page = markdown.render(DOCUMENT[1:], lambda file, words: f"<img alt='{words}' src='{file}'>", level=2)
    Balanced(page)
    assert "<p>A <em>word</em> and <code>code &lt;b&gt;</code> over two lines, <strong>strong</strong>; 3 * 4 * 5.</p>" in page
    assert '<td class="n">12.5</td>' in page and ">a &amp; b</td>" in page and "<h3>Table</h3>" in page
    assert "<ol><li>first <strong>held</strong><ul><li>inner: one</li><li>inner: two</li></ul></li><li>second</li></ol>" in page
    assert "<ul><li>plain</li><li>list</li></ul>" in page and "<p>n/a and doubtful:</p>\n<ul><li>reason</li></ul>" in page
    assert page.endswith("<img alt='words' src='picture.png'>")


@given(st.lists(st.text(alphabet="ab<>&\"'*`|#-1. \\![]()", max_size=30), max_size=12))
def test_markdown_never_lets_html_through(lines):
    page = Balanced(markdown.render(lines, lambda file, words: "", level=2))
    assert set(page.tags) <= {"p", "em", "strong", "code", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "div",
                              *(f"h{n}" for n in range(1, 7))}


# --- drawings

@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e6), st.integers(2, 8))
def test_ticks_are_round_and_inside(low, width, count):
    found = svg.ticks(low, low + width, count)
    assert 2 <= len(found) <= 2.5 * count + 2 and all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in found)


def test_panel_places_values():
    panel = svg.Panel(svg.Drawing(100, 100, "x"), (10, 20, 80, 60), (0, 4), (1, 100), log="y")
    assert panel.at(0, 100) == (10, 20) and panel.at(4, 1) == (90, 80) and panel.at(2, 10) == pytest.approx((50, 50))
    assert svg.log_ticks(0.02, 0.6) == pytest.approx([0.02, 0.05, 0.1, 0.2, 0.5])


RECORDS = [{"epoch": n, "frames": 1000, "lr": rate, "train_loss": 2 / n, "valid_loss": 2.2 / n, "valid_fer": 0.8 / n, "seconds": 1.5,
            "event": event}
           for n, rate, event in ((1, 0.1, "best"), (2, 0.1, "best decay"), (3, 0.05, ""), (4, 0.05, "decay rollback"), (5, 0.025, "best stop"))]


def test_changes_of_a_schedule():
    assert changes(RECORDS) == [Change(2, 0.05, 0), Change(4, 0.025, 2)]
    assert changes([RECORDS[0], {**RECORDS[2], "lr": 0.1, "event": "decay rollback stop"}]) == [Change(2, None, 1)]
    assert changes(RECORDS[:1]) == []


def test_learning_curves_mark_rate_changes_and_rollbacks():
    page = curves.network_curves(NASTY, RECORDS)
    Balanced(page)
    assert page.count('class="decay"') == 4 and page.count('class="rollback"') == 2, "two panels; two changes, one rollback"
    assert "back to the weights of epoch 2" in page and "<script" not in page
    Balanced(curves.all_curves({"a": RECORDS, "b": RECORDS[:1]}))


ROW = {"system": NASTY, "FER %": "30.00", "test WER %": "12.00", "95 % interval": "[9.00, 16.00]"}


def test_charts_leave_out_what_is_not_there():
    rows = [ROW, {**ROW, "FER %": "n/a", "system": "gmm"}, {**ROW, "test WER %": "n/a", "95 % interval": "n/a", "system": "none"}]
    chart, points = charts.wer_chart(rows), charts.fer_wer(rows)
    for page in (chart, points):
        Balanced(page)
        assert "<script" not in page and "none" not in page
    assert chart.count("<b ") == 2 and points.count("<circle") == 1
    # 12 of a scale to 1.04 x 16
    assert "left:72.12%" in chart and charts.wer_chart(rows[2:]) == ""


# --- phones

def test_phones_that_share_a_class_are_one():
    """Four phones; classes 0 and 1 of sil, 2 of a in two positions, 3 shared by b and c."""
    class Model:
        num_pdfs = 4

        class table:
            tuples = np.array([[1, 0, 0, 1], [2, 0, 2, 2], [3, 0, 2, 2], [4, 0, 3, 3], [5, 0, 3, 3]])

    names = {0: "<eps>", 1: "sil", 2: "a", 3: "a", 4: "b", 5: "c", 6: "#0"}
    found, index = phones_of_classes(Model, names)
    assert found == ["sil", "a", "b/c"] and index.tolist() == [0, 0, 1, 2]


def test_confusions_come_back_from_their_file(tmp_path):
    table = Confusions(["sil", "a", "b/c"], np.array([[90, 10, 0], [0, 0, 0], [3, 1, 96]]))
    write_confusions(tmp_path / "cnn.tsv", table)
    again = read_confusions(tmp_path / "cnn.tsv")
    assert again.phones == table.phones and (again.frames == table.frames).all() and again.error == pytest.approx(7.0)
    page = phones.confusion_picture(again) + phones.worst_table(again)
    Balanced(page)
    assert page.count('class="right"') == 2 and "sil taken for a: 10.0 % (10 frames)" in page
    (tmp_path / "cnn.tsv").write_text("label\tnetwork\tframes\na\tb\n")
    with pytest.raises(Exception, match="not a table of confusions"):
        read_confusions(tmp_path / "cnn.tsv")


def test_networks_of_one_name_do_not_write_over_each_other(run):
    done = run("steps/phone_confusions", "lang", "ali", "store", "out", "exp/cnn", "exp/lstm1", "exp/seed2/cnn")
    assert done.returncode == 1 and "out/cnn.tsv" in done.stderr and "exp/cnn and exp/seed2/cnn" in done.stderr


# --- transcripts

def test_alignment_keeps_the_times_of_the_hypothesis():
    found = aligned(["a", "b", "c"], [("x", 0.5), ("b", 1.0), ("c", 1.5), ("d", 2.0)])
    assert found == [TimedToken("S", "a", "x", 0.5), TimedToken("C", "b", "b", 1.0), TimedToken("C", "c", "c", 1.5), TimedToken("I", "", "d", 2.0)]
    assert aligned(["a"], []) == [TimedToken("D", "a", "", None)]


def test_rewritten_words_keep_their_places():
    timed = [("uh", 0.1), ("i'm", 0.5), ("here", 1.0)]
    assert with_times(["i'm", "here"], timed) == [("i'm", 0.5), ("here", 1.0)]
    assert with_times(["i", "am", "here"], timed)[-1] == ("here", 1.0)


WORDS = st.lists(st.sampled_from("abcd"), max_size=6)


@given(WORDS, WORDS)
def test_alignments_hold_both_texts(reference, hypothesis):
    found = aligned(reference, [(word, float(place)) for place, word in enumerate(hypothesis)])
    assert [token.reference for token in found if token.reference] == reference
    assert [(token.hypothesis, token.begin) for token in found if token.hypothesis] == [(word, place) for place, word in enumerate(hypothesis)]
    assert all((token.kind == "C") == (token.reference == token.hypothesis) for token in found)


def transcript(utt, tokens, failed=""):
    return Transcript(utt, "s1", NASTY, "A", 1.0, 2.5, tokens, failed)


def test_transcripts_show_every_utterance_and_error():
    first = [transcript("u1", aligned(["a", "b"], [("a", 1.1), ("c", 1.3)])), transcript("u2", aligned(["a"], []), NASTY)]
    second = [transcript("u1", aligned(["a", "b"], [("a", 1.1), ("b", 1.3)])), transcript("u2", aligned(["a"], [("a", 2.0)]))]
    page = transcripts.transcript_list({"one": first, NASTY: second}) + transcripts.frequent_errors(first)
    parsed = Balanced(page)
    assert "<script" not in page and parsed.tags.count("details") == 1 and page.count("<h5>") == 2
    assert page.count('class="S"') == 1 and page.count('class="D"') == 1 and "2 errors" not in page and "WER 66.7 %, 0.0 %" in page
    assert frequent(first, "S") == [(("b", "c"), 1)] and "b &rarr; c" in page
    for one in first + second:
        one.file = one.utt
    assert f"<b>{escape(NASTY)} A</b> " in page and "<b>s1</b> " in transcripts.transcript_list({"one": first}), "files of one utterance"
    with pytest.raises(ValueError):
        transcripts.transcript_list({"one": first, "two": second[:1]})


# --- costs

def marker(folder, name, began, seconds, number=3, peak=100.0, inputs=(), command=("steps/train_mono",)):
    folder.mkdir(parents=True, exist_ok=True)
    stage = {"script": "run.sh", "number": number, "title": NASTY}
    (folder / name).write_text(json.dumps({"command": [*command, str(folder)], "inputs": dict(inputs), "began": began, "seconds": seconds,
                                           "cpu_seconds": 2 * seconds, "peak_mib": peak, "stage": stage}))


def test_costs_by_stage(tmp_path):
    marker(tmp_path / "corpus", ".done", 99, 7, number=0)  # made again after the others
    marker(tmp_path / "exp/a", ".done", 10, 20, inputs={"corpus/LDC97S62": {".listing": "x"}})
    marker(tmp_path / "exp/b", ".done", 20, 20, peak=250.0)
    marker(tmp_path / "exp/b", ".done.eval", 50, 5)
    (tmp_path / "exp/c").mkdir()
    (tmp_path / "exp/c/.done").write_text((tmp_path / "exp/b/.done").read_text())  # one command, two folders
    (tmp_path / "exp/old").mkdir()
    (tmp_path / "exp/old/.done").write_text('{"command": ["steps/x"], "seconds": 3}')
    stages, unknown = stage_costs([tmp_path / "exp"], tmp_path)
    assert [(stage.number, stage.wall, stage.cpu_seconds, stage.peak_mib, len(stage.commands)) for stage in stages] == [
        (0, 7, 14, 100.0, 1), (3, 35, 90, 250.0, 3)], "what overlaps counts once"
    assert unknown == 1 and stages[1].commands[0].program == "train_mono" and stages[1].commands[0].made == "exp/a"
    page = cost_table(stages)
    Balanced(page)
    assert "<script" not in page and "35.0\u00a0s" in page and "<td class=\"n\">4</td>" in page
    assert [seconds_text(value) for value in (1.25, 100, 7384)] == ["1.2\u00a0s", "1 min 40\u00a0s", "2 h 03\u00a0min"]


def test_markers_say_what_a_command_took(run, tmp_path):
    done = run("utils/once.py", "--out", "exp/a", "--", "bash", "-c", "python3 -c 'x = bytearray(150 << 20)'", STAGE_NUMBER="4", STAGE_TITLE="t",
               STAGE_SCRIPT="./run.sh")
    record = json.loads((tmp_path / "exp/a/.done").read_text())
    assert done.returncode == 0 and record["stage"] == {"script": "run.sh", "number": 4, "title": "t"}
    assert 150 < record["peak_mib"] < 1000 and record["began"] > 1.7e9 and record["cpu_seconds"] >= 0
    run("utils/once.py", "--out", "exp/b", "--", "true")
    assert json.loads((tmp_path / "exp/b/.done").read_text())["stage"] is None


# --- the page

def test_a_page_holds_all_it_needs():
    page = document(NASTY, "<p>lead</p>", [Section("a", NASTY, "<p>body</p>"), Section("b", "B", "")])
    parsed = Balanced(page)
    assert "script" not in parsed.tags and not re.search(r'(src|href)="(?!data:|#)', page) and 'href="#b"' in page
    assert "default-src 'none'" in page


RULES = ";; a GLM\n<unk> => / [ ] __ [ ]\n"
TEXT = {"s1-u1": "a b c", "s1-u2": "a <unk>", "s2-u3": "b b"}
PATHS = {"s1-u1": [("a c", -10.0, -2.0)], "s1-u2": [("b <unk> a", -1.0, -1.0)]}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of a system with three utterances, an experiment of the paper's with a picture, and nothing else."""
    folder = tmp_path_factory.mktemp("report")
    for name in ("dev", "test"):
        decoded(folder / name, TEXT, [PATHS], ["s2-u3 no path within the beam"])
        (folder / "data").mkdir(exist_ok=True)
        (folder / name / "data/utt2spk").write_text("".join(f"{utt} {utt[:2]}\n" for utt in TEXT))
        (folder / name / "data").rename(folder / "data" / name)
        (folder / "exp/cnn").mkdir(parents=True, exist_ok=True)
        (folder / name / "decode").rename(folder / f"exp/cnn/decode_{name}")
    (folder / "test/graph").rename(folder / "data/lang")
    (folder / "rules").write_text(RULES)
    (folder / "exp/cnn/eval.json").write_text('{"fer": 0.3}')
    (folder / "exp/cnn/train.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    write_confusions(folder / "exp/confusions/cnn.tsv", Confusions(["sil", "a"], np.array([[9, 1], [2, 3]])))
    (folder / "exp/paper").mkdir()
    (folder / "exp/paper/PAPER.md").write_text(f"# The paper\n\n{NASTY}\n\n## Figures\n\n![Figure 2](figure2.png)\n")
    (folder / "exp/paper/figure2.png").write_bytes(png(np.zeros((30, 31), np.float32)))
    for name in ("dev", "test"):
        step(folder, "steps/score", "--rules", "rules", f"data/{name}", "data/lang", f"exp/cnn/decode_{name}")
    step(folder, "steps/make_tables", "exp", "exp/results", f"cnn={NASTY}")
    step(folder, "steps/make_report", "--rules", "rules", "--paper", "exp/paper", "data/dev", "data/test", "data/lang", "exp", "exp/results")
    return folder / "exp/paper/report.html"


def step(folder, program, *arguments, code=0):
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([ROOT / program, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.slow
def test_the_report_holds_every_section(page):
    content = page.read_text()
    parsed = Balanced(content)
    assert "script" not in parsed.tags and "<script" not in content and not re.search(r'(src|href)="(?!data:|#)', content)
    for anchor in ("results", "fer-wer", "curves", "phones", "features", "transcripts", "paper", "cost"):
        assert f'<h2 id="{anchor}">' in content and f'href="#{anchor}"' in content
    # a b c against a c; a against b a (the unknown word is taken away); b b against nothing: 1 + 1 + 2 errors in 6 words
    assert "66.67" in content and content.count('class="D"') == 1 + 3 and content.count('class="I"') == 1 + 1, "one of each is the sample"
    assert "no hypothesis: no path within the beam" in content and "data:image/png" in content
    assert "n/a: no exp/frames_dev or no exp/dnn_ali_dev" in content and "n/a: no marker says what its command took" in content


@pytest.mark.slow
def test_a_report_is_the_same_twice(page):
    before = page.read_bytes()
    folder = page.parents[2]
    step(folder, "steps/make_report", "--rules", "rules", "--paper", "exp/paper", "data/dev", "data/test", "data/lang", "exp", "exp/results")
    assert page.read_bytes() == before


@pytest.mark.slow
def test_a_report_refuses_what_contradicts_the_tables(page):
    folder = page.parents[2]
    arguments = ("data/dev", "data/test", "data/lang", "exp", "exp/results")
    done = step(folder, "steps/make_report", "--rules", "none", *arguments, code=1)
    assert "an utterance has other errors than were counted" in done.stderr and "s1-u2" in done.stderr and "Traceback" not in done.stderr
    done = step(folder, "steps/make_report", "--rules", "rules", "--systems", "dnn", *arguments, code=1)
    assert "is not in the tables" in done.stderr and "Traceback" not in done.stderr
    assert "missing input" in step(folder, "steps/make_report", *arguments[:4], "exp/none", code=1).stderr
    for name, content, message in (
            ("table1.tsv", "name\tsystem\ncnn\tCNN\n", "not a table of systems"),
            ("RESULTS.md", "# x\n\nlead\n\n![a](none.png)\n", "none.png")):
        shutil.copytree(folder / "exp/results", folder / f"exp/{name}")
        (folder / "exp" / name / name).write_text(content)
        done = step(folder, "steps/make_report", "--rules", "rules", *arguments[:4], f"exp/{name}", code=1)
        assert message in done.stderr and "Traceback" not in done.stderr, done.stderr


class Utterance:
    """As hmm.aligned.AlignedUtterance."""

    utt, file, channel, begin = "u1", "f", "A", 1.5
    phones = [Span("sil", 0, 10), Span("a", 10, 20)]
    words = [Span(NASTY, 10, 20)]


def test_a_feature_picture(tmp_path):
    drawing = str(draw(np.random.default_rng(1).normal(size=(30, 31)).astype(np.float32), Utterance))
    Balanced(drawing)
    assert drawing.count('class="border"') == 1 and ">sil<" in drawing and "textLength" in drawing and "<script" not in drawing


needs_browser = pytest.mark.skipif(not find_browser(), reason="no chromium or chrome on the path")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_report_in_a_browser(page, browser, width):
    check_page(browser, page, width)


@needs_browser
@pytest.mark.slow
def test_the_browser_test_sees_faults(browser, tmp_path):
    (tmp_path / "bad.html").write_text('<p style="width:900px">x</p><img src="none.png"><script>console.error("broken")</script>')
    browser.open((tmp_path / "bad.html").as_uri(), 390)
    assert "broken" in browser.complaints and len(browser.complaints) > 1 and browser.value(WIDTH) > 390 and browser.value(PICTURES) == [False]
    browser.complaints.clear()
