"""Job that accumulates LDA statistics over one part of the data (Kaldi: acc-lda). Writes <dir>/lda.JOB.npz.

Classes are the pdfs of --ali-dir's model; features are spliced as <dir> states.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..io.archives import read_alignments
from ..io.main import run_main
from ..io.options import option, parse
from ..io.publish import publish_path
from ..lang.lang_dir import LangDir
from .features import FeatureOptions
from .jobs import JobOptions, speakers
from .lda import LdaStats
from .model import AcousticModel


@dataclass
class LdaJobOptions(JobOptions):
    lang: str = option("", "lang directory")
    ali_dir: str = option("", "directory of the alignments and their model")


def main(argv: list[str]) -> None:
    options, _ = parse(LdaJobOptions, argv, __doc__, nargs=0)
    model, part = AcousticModel.load(options.ali_dir), options.part()
    silence = sorted(LangDir(options.lang).silence_phones)
    total: dict[str, Any] = {}
    for own in speakers(part, FeatureOptions.read(options.dir), read_alignments(options.ali_dir, part.utt2spk)):
        speech = ~np.isin(model.phone_of[own.path], silence)  # what sets silence apart is no concern of ours
        stats = LdaStats.of(own.features[speech], model.pdf_of[own.path[speech]], model.num_pdfs)
        for name, value in asdict(stats).items():
            total[name] = total.get(name, 0.0) + value
    with publish_path(options.file("lda.JOB.npz")) as temporary:
        np.savez(temporary, **total)


if __name__ == "__main__":
    run_main(main)
