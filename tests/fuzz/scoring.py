"""References, hypotheses and scores."""

import contextlib
import math
from pathlib import Path

from fuzz.corpus import temporary
from fuzz.harness import Files, target
from pytorch_nnet.corpus.acronyms import read_acronyms
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.scoring.alignments import Utterance, read_alignments, write_alignments
from pytorch_nnet.scoring.glm import Glm
from pytorch_nnet.scoring.letters import read_letters
from pytorch_nnet.scoring.network import Token
from pytorch_nnet.scoring.stm import assign, filtered, read_ctm, read_stm, write_ctm
from pytorch_nnet.scoring.wer import Counts, read_wer, write_wer

GLM = (
    ";; a mapping file\n* name = \"x.glm\"\n* format = 'NIST1'\n* max_nrules = '40'\n* case_sensitive = 'F'\nUH => %HESITATION / [ ] __ [ ]\n"
    "IT'S => {IT'S / IT IS} / [ ] __ [ ]\n[[NOISE]] => / [ ] __ [ ]\n;; INPUT_DEPENDENT_APPLICATION = \"stm\"\nOK => O. K. / [ ] __ [ ]\n"
)
STM = (
    ';; LABEL "sw" "" ""\nsw_4390 A sw_4390_A 0.50 1.00 <O,sw> HELLO (UH) IT\'S {TWO / TO} (A B)\n'
    "sw_4390 A sw_4390_A 1.10 1.50 <O,sw> IGNORE_TIME_SEGMENT_IN_SCORING\nsw_4390 B sw_4390_B 0.02 2.00 OK TH- THEM\n"
)
CTM = "sw_4390 A 0.60 0.20 hello 0.9\nsw_4390 A 0.81 0.10 it's\nsw_4390 B 0.50 0.30 ok 0.5\n"


@target(lambda: {"x.glm": GLM.encode(), "x.stm": STM.encode(), "x.ctm": CTM.encode()})
def nist():
    glm = Glm.read("x.glm", ("stm", "ref"))
    segments, words = read_stm("x.stm", glm), read_ctm("x.ctm")
    for side, own in segments.items():
        assert all(math.isfinite(segment.begin) and segment.begin <= segment.end for segment in own)
        items = filtered(words, glm).get(side, [])
        assert sum(map(len, assign(own, items))) == len(items)
    write_ctm("again", words)
    with contextlib.suppress(FileNotFoundError):
        assert [word[:2] + word[4:5] for word in read_ctm("again")] == [
            word[:2] + word[4:5] for word in sorted(words, key=lambda w: (w.file, w.channel, round(w.begin, 2)))
        ]


def score_files() -> Files:
    def write(folder: Path):
        write_wer(folder / "wer_9_0.0", Counts(10, 1, 2, 1, 3, 2, 1), "title", {"utt1": "no path"})
        tokens = [Token("C", "yes", "yes"), Token("S", "it", "in"), Token("D", "is", ""), Token("I", "", "so")]
        write_alignments(
            folder / "x.sgml", [Utterance("s", "f", "A", 0.5, 1.5, "<o,sw>", tokens), Utterance("s", "f", "A", 2, 3, "", [])], title="x"
        )
        (folder / "acronyms.map").write_text("i._b._m.\ti b m\nu._s.\tu s\n")
        (folder / "dict.map").write_text("IBM\ti._b._m.\ti b m\nUS\tu._s.\tu s\n")

    return temporary(write)


@target(score_files)
def scores():
    refused = None
    for read in (
        lambda: read_wer("wer_9_0.0"),
        lambda: read_alignments("x.sgml"),
        lambda: read_letters("."),
        lambda: read_acronyms("dict.map"),
    ):
        try:
            found = read()
            if isinstance(found, Counts):
                assert found.words > 0 and min(found.ins, found.dels, found.sub) >= 0
        except RecipeError as error:
            refused = error
    if refused:
        raise refused
