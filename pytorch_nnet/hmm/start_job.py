"""Job before training: compiles the training graphs of one part of the data and gives every utterance a first alignment.

Without --ali-dir the time is spread equally over a random path's states (Kaldi: align-equal-compiled); with it, an existing alignment
is rewritten for the new tree (convert-ali). Writes fsts.JOB.ark, ali.JOB.gz, failed.JOB.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..io.archives import read_alignments, write_ali
from ..io.main import run_main
from ..io.options import option, parse
from ..io.progress import track
from ..lang.lang_dir import LangDir
from .align import Failures, equal_alignment
from .convert import AlignmentConverter
from .graphs import GraphCompiler, write_graphs
from .jobs import JobOptions
from .model import AcousticModel


@dataclass
class StartOptions(JobOptions):
    lang: str = option("", "lang directory")
    model: str = option("0.mdl", "model file in <dir>")
    ali_dir: str = option("", "directory of alignments to convert; none: equal alignment")


def main(argv: list[str]) -> None:
    options, _ = parse(StartOptions, argv, __doc__, nargs=0)
    part = options.part()
    model = AcousticModel.load(options.dir, options.model)
    lang = LangDir(options.lang)
    compiler = GraphCompiler(model, lang)
    lengths = part.num_frames or {utt: len(feats) for utt, feats in model.features.open(part)}
    convert, old = None, {}
    if options.ali_dir:
        convert = AlignmentConverter(AcousticModel.load(options.ali_dir).table, model.table, model.tree_map)
        old = read_alignments(options.ali_dir, part.utt2spk)
    alignments, failures = {}, Failures()

    def silent_ends(path) -> bool:
        """Utterances are cut with silence at both ends; a start that knows this ends in a better model."""
        return all(model.phone_of[path[end]] == lang.optional_silence for end in (0, -1))

    def graphs():
        for utt in track(part.utts, "compile graphs"):
            graph = compiler.compile(utt, part.text[utt])
            yield utt, graph
            failures.tried += 1
            if convert is None:
                path = equal_alignment(utt, graph, lengths[utt], silent_ends)
            else:
                path = convert(old[utt], utt) if utt in old else None
            if path is not None:
                alignments[utt] = path
            elif convert is None:
                failures.add(utt, f"{lengths[utt]} frames are too few for its {len(part.text[utt])} words")
            else:
                failures.add(utt, f"no alignment in {options.ali_dir}")

    write_graphs(options.file("fsts.JOB.ark"), graphs())
    write_ali(options.file("ali.JOB.gz"), alignments)
    failures.write(options.file("failed.JOB"))


if __name__ == "__main__":
    run_main(main)
