"""Two-pass decoding with a speaker-adapted GMM (Kaldi: steps/decode_fmllr.sh).

The first pass uses final.alimdl and features that are not adapted; its words, aligned, give each speaker a transform; the second pass
decodes adapted features. Kaldi weighs the words by lattice posteriors; here the best path counts alone.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ..corpus.datadir import DataDir
from ..hmm.align_data import AlignDataOptions, align_data
from ..hmm.features import remove_transforms, write_transforms
from ..hmm.model import AcousticModel
from ..io.errors import require_file
from ..io.options import option
from ..lang.lang_dir import read_symbols
from .decode import DecodeOptions, PassOptions, decode_data
from .lattice import LatticeReader, best_paths


@dataclass
class DecodeFmllrOptions(PassOptions):
    lang: str = option("data/lang", "lang directory, to align the words of the first pass")


def decode_fmllr(graph: str, data: str, out: str, options: DecodeFmllrOptions) -> None:
    """Fills `out`.si with the first pass and `out` with the second; the transforms are in `out`/trans.JOB.

    Raises:
      RecipeError: a model without final.alimdl; what decoding and alignment raise.
    """
    model = Path(options.model) if options.model else Path(out).absolute().parent
    require_file(model / "final.alimdl", next="train it (steps/train_sat); steps/decode is for models that are not adapted")
    values = asdict(options)
    values.pop("lang")
    first = Path(f"{out}.si")
    plain = DecodeOptions(**{**values, "model": str(model)})
    decode_data(graph, data, [first], plain)
    adapt(graph, DataDir.load(data, need=("feats.scp",)), model, first, options)
    decode_data(graph, data, [out], replace(plain, transform_dir=str(first / "adapt")))


def adapt(graph: str, data: DataDir, model: Path, first: Path, options: DecodeFmllrOptions) -> None:
    """Aligns the best words of the first pass and leaves trans.JOB in `first`/adapt, for every speaker of the data."""
    remove_transforms(first / "adapt")
    words = {number: word for word, number in read_symbols(Path(graph) / "words.txt").items()}
    lmwt = 1 / options.acwt
    text = {utt: [words[word] for word in best_paths(lattice, [lmwt], [0.0])[lmwt, 0.0]]
            for path in sorted(first.glob("lat.*.npz")) for utt, lattice in LatticeReader(path)}
    heard = data.subset((utt for utt, found in text.items() if found), first / "words")
    heard.text = {utt: text[utt] for utt in heard.utt2spk}
    if heard.utt2spk:
        heard.write()
        align_data(str(heard.path), options.lang, str(model), str(first / "adapt"), AlignDataOptions(nj=options.nj, cmd=options.cmd),
                   adapt=True)
    silent = sorted(data.spk2utt.keys() - heard.spk2utt.keys())
    if silent:
        dim = AcousticModel.load(model).require_gmm().dim
        print(f"{first}: no words from {len(silent)} of {len(data.spk2utt)} speakers, who are not adapted: {' '.join(silent)}", file=sys.stderr)
        (first / "adapt").mkdir(exist_ok=True)
        write_transforms(first / "adapt" / f"trans.{options.nj + 1}", {speaker: np.eye(dim, dim + 1) for speaker in silent})
