"""What the paper reports, beside which our tables put theirs.

Source: K. J. Geras et al., "Blending LSTMs into CNNs" (2016, arXiv:1511.06433), Tables 1 and 2 and the text of section
5: FER on a held-out hour of Switchboard, WER on the Switchboard part of Hub5'00.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class PaperRow:
    name: str
    fer: float | None  # percent
    wer: float | None  # percent
    parameters: str | None
    run_time: float | None  # relative to the vision-style CNN


# Systems by the names the recipes give them; the first pattern that fits the whole name counts.
ROWS = (
    ("sainath", PaperRow("Sainath-style CNN", 37.93, 15.5, "75M", 0.75)),
    ("cnn", PaperRow("vision-style CNN (mean of 3)", 35.51, 14.1, "75M", 1.0)),
    ("lstm1", PaperRow("smaller BLSTM, 4 x 512", 34.27, 14.8, "30M", 3.3)),
    ("lstm2", PaperRow("bigger BLSTM, 4 x 800", 34.15, 14.4, "65M", 5.8)),
    ("ens_lstm_cnn", PaperRow("LSTM + CNN ensemble", 32.4, 13.4, "130M", 6.8)),
    ("ens_2lstm", PaperRow("2 LSTMs, the teacher", 32.4, 13.4, None, None)),
    ("ens_3lstm", PaperRow("3 LSTMs", 31.98, 13.7, None, None)),
    ("ens_3cnn", PaperRow("3 CNNs", 33.31, 13.9, None, None)),
    ("ens_2lstm_cnn", PaperRow("2 LSTMs + CNN", 31.57, 13.2, None, None)),
    (r"student_l0\.75_c\d+", PaperRow("LSTM -> CNN blending, lambda 0.75 (mean of 3)", 34.11, 13.83, "75M", 1.0)),
    ("self", PaperRow("CNN -> CNN self-teaching, lambda 0.5, C = 90 (mean of 3)", 34.61, 14.1, "75M", 1.0)),
)

# Table 2: classes kept at most -> (mass covered in percent, classes kept on average)
COVERAGE = {1: (73.20, 1.0), 3: (91.19, 2.89), 10: (96.68, 6.79), 30: (98.38, 13.33), 90: (99.03, 23.96)}


def paper_row(system: str) -> PaperRow | None:
    """The paper's counterpart of a system of ours, or None."""
    return next((row for pattern, row in ROWS if re.fullmatch(pattern, system)), None)
