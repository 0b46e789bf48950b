"""Generated scoring cases with every oddity of Hub5 references, and the counts that NIST's hubscr gives for them.

    python tests/hub5_cases.py       # writes tests/hub5_counts.tsv anew with the hubscr that is installed
"""

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

COUNTS = Path(__file__).with_name("hub5_counts.tsv")
SEED, FILES, SEGMENTS = 4, 10, 26  # segments on each of a file's two sides
HEADER = """;; CATEGORY "0" "" ""
;; LABEL "O" "Overall" "Overall"
;; CATEGORY "1" "Corpus" ""
;; LABEL "en" "CallHome" ""
;; LABEL "sw" "Switchboard" ""
"""
GLM = """;; rules of the test
* name "test.glm"
* format = 'NIST1'
* max_nrules = '100'
* copy_no_hit = 'T'
* case_sensitive = 'F'
UH => %HESITATION / [ ] __ [ ]
um => %hesitation / [ ] __ [ ]
UH-HUH => %BCACK / [ ] __ [ ]
MM-HM => %BCACK / [ ] __ [ ] ;; a comment
IT'S => [{IT'S / IT IS}] / [ ] __ [ ]
CAN'T => {CAN'T / CANNOT / CAN NOT} / [ ] __ [ ]
I'D => {I'D / {I WOULD / I HAD}} / [ ] __ [ ]
GONNA => GOING TO
ALRIGHT => ALL RIGHT ;; inside words too
OK => O. K. / [ ] __ [ ]
YEAH => YES / [OH ] __
YES => YEP / __ [ SIR]
[[LAUGHTER]] => / [ ] __ [ ]
WELL => (WELL) / [ ] __ [ ]
;; INPUT_DEPENDENT_APPLICATION = "ctm"
BYE-BYE => GOODBYE / [ ] __ [ ]
;; INPUT_DEPENDENT_APPLICATION = "ref"
SO => (SO) / [ ] __ [ ]
;; INPUT_DEPENDENT_APPLICATION = "hyp"
NOPE => {NO / @} / [ ] __ [ ]
"""
WORDS = "a b c d e the that it is i can not would going to all right yes no oh yeah o. k. sir twenty-one".split()
SPECIAL = ["uh", "UM", "uh-huh", "mm-hm", "it's", "can't", "i'd", "gonna", "alright", "ok", "[laughter]", "well", "bye-bye", "so",
           "nope", "goodbye", "cannot", "yes sir", "oh yeah", "%hesitation", "alrighty"]
ONLY_REFERENCE = ["(uh)", "(%hesitation)", "(a b)", "(that)", "{a / b}", "{a b / c / @}", "{it's / it is}", "{d / {e / a b} / @}",
                  "th-", "(th-)", "tw-", "-ght", "(ca-)", "{(uh) / a}", "{the/that}", "a-", "i-"]
# Of these many alignments cost the same, down to the order in which 0.001 is added for an empty alternative.
TIES = ["a", "a", "b", "c", "(a)", "{a / b c / @}", "{b / @}", "{@ / c}"]


def reference_text(rng: random.Random) -> str:
    if rng.random() < 0.06:
        return "IGNORE_TIME_SEGMENT_IN_SCORING"
    if rng.random() < 0.2:
        return " ".join(rng.choices(TIES, k=rng.randint(3, 9)))
    pools = rng.choices([WORDS, SPECIAL, ONLY_REFERENCE], [6, 3, 3], k=rng.choice([1, 2, 3, 4, 5, 6, 8, 12]))
    return " ".join(rng.choice(pool) for pool in pools)


def hypothesis_text(rng: random.Random, reference: str) -> list[str]:
    """Something like the reference, as a recogniser would have it; for TIES anything."""
    if set(reference) <= set("abc @(){}/"):
        return rng.choices("abcd", k=rng.randint(2, 8))
    plain = re.sub(r"\{([^{}/]*)/[^}]*\}+", r"\1", reference) if rng.random() < 0.5 else re.sub(r"\{.*?/([^{}/]*)\}+", r"\1", reference)
    words = re.sub(r"[(){}@/]", " ", plain).split()
    result = []
    for word in words:
        draw = rng.random()
        if draw < 0.12:
            continue
        if draw < 0.27:
            result.append(rng.choice(WORDS + SPECIAL[:16]).split()[0])
            continue
        if draw < 0.35:
            result.append(rng.choice(WORDS))
        if word.endswith("-") and rng.random() < 0.7:
            word = {"th": "that", "tw": "twenty", "ca": "can't", "a": "all", "i": "is"}.get(word[:-1], word)
        result.append({"-ght": "right"}.get(word, word) if not word.startswith("IGNORE") else rng.choice(WORDS))
    return result


def make_cases(folder: Path) -> tuple[Path, Path, Path]:
    """Writes the STM, the GLM and the CTM of the cases; the same ones every time."""
    rng = random.Random(SEED)
    stm, ctm = [], []
    for number in range(FILES):
        corpus = ("sw", "en")[number % 2]
        name = f"{corpus}_{4000 + number}"
        for channel in "AB":
            clock = rng.randrange(300) / 100
            for _ in range(SEGMENTS):
                text = reference_text(rng)
                words = hypothesis_text(rng, text)
                length = round(0.3 * max(1, len(words)) + 0.2, 2)
                # Words may begin before their segment and end after it, so that some middles fall on or over a border.
                begin = clock + rng.choice([0, 0, 0.05, -0.3, 0.3, -0.15])
                for word in words:
                    duration = rng.choice([0.1, 0.2, 0.25, 0.3, 0.37])
                    ctm.append(f"{name} {channel} {max(begin, 0):.2f} {duration:.2f} {word}")
                    begin += rng.choice([0.2, 0.3, 0.31])
                label = rng.choice([f"<O,{corpus}>", f"<O,{corpus}>", ""])
                stm.append(f"{name} {channel} {name}_{channel} {clock:.2f} {clock + length:.2f} {label} {text}")
                clock = round(clock + length + rng.choice([0, 0, 0.1, 1.5, -0.1]), 2)
    rng.shuffle(ctm)
    paths = folder / "ref.stm", folder / "ref.glm", folder / "hyp.ctm"
    for path, content in zip(paths, (HEADER + "\n".join(stm) + "\n", GLM, "\n".join(ctm) + "\n")):
        path.write_text(content)
    return paths


def hubscr(folder: Path) -> Path | None:
    """Runs hubscr on the cases in the folder; returns its alignments, or None where it is not installed."""
    program = shutil.which("hubscr.pl", path="/usr/lib/sctk/bin") or shutil.which("hubscr.pl")
    if program is None:
        return None
    subprocess.run([program, "-p", str(Path(program).parent), "-V", "-l", "english", "-h", "hub5", "-g", "ref.glm", "-r", "ref.stm",
                    "hyp.ctm"], cwd=folder, check=True, capture_output=True)
    return folder / "hyp.ctm.filt.sgml"


def counts_of(utterances) -> list[str]:
    """A line a segment: file, channel, begin, the numbers of C, S, D and I, and their order."""
    lines = []
    for one in utterances:
        order = "".join(token.kind for token in one.tokens)
        lines.append(f"{one.file} {one.channel} {one.begin:.2f} {' '.join(str(order.count(kind)) for kind in 'CSDI')} {order or '-'}")
    return lines


if __name__ == "__main__":
    import tempfile

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from pytorch_nnet.scoring.alignments import read_alignments

    with tempfile.TemporaryDirectory() as temporary:
        make_cases(Path(temporary))
        COUNTS.write_text("\n".join(counts_of(read_alignments(hubscr(Path(temporary))))) + "\n")
