"""Job that accumulates tree statistics over one part of the data (Kaldi: acc-tree-stats). Writes <dir>/treeacc.JOB.npz.

The alignments are those of --ali-dir; the features are the ones that <dir> states, which may be better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..io.archives import read_alignments
from ..io.main import run_main
from ..io.options import option, parse
from ..lang.lang_dir import LangDir
from .features import FeatureOptions
from .jobs import JobOptions, speakers
from .model import AcousticModel
from .stats import StatsAccumulator


@dataclass
class TreeJobOptions(JobOptions):
    lang: str = option("", "lang directory")
    ali_dir: str = option("", "directory of the alignments and their model")


def main(argv: list[str]) -> None:
    options, _ = parse(TreeJobOptions, argv, __doc__, nargs=0)
    model = AcousticModel.load(options.ali_dir)
    part = options.part()
    alignments = read_alignments(options.ali_dir, part.utt2spk)
    accumulator = StatsAccumulator(model, LangDir(options.lang).silence_phones)
    for own in speakers(part, FeatureOptions.read(options.dir), alignments, options.transforms(part)):
        accumulator.add_speaker(own.features, np.concatenate([accumulator.events(alignments[utt], utt) for utt in own.utts]))
    accumulator.result().save(options.file("treeacc.JOB.npz"))


if __name__ == "__main__":
    run_main(main)
