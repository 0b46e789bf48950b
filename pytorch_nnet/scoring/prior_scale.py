"""The exponent of the priors that a network's posteriors are divided by, tuned on dev (Kaldi: nnet-forward --prior-scale)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..decoding.decode import DecodeOptions, decode_data
from ..io.errors import RecipeError
from ..io.options import option
from ..io.publish import publish
from .sweep import ScoreOptions, score_decoded
from .tune import choose, read_sweep


@dataclass
class PriorScaleOptions(DecodeOptions):
    scales: list[float] = option([0.4, 0.6, 0.8, 1.0], "prior scales to try")


def tune_prior_scale(graph, data, model, out, options: PriorScaleOptions) -> float:
    """Decodes and scores `data` with every scale; the LM weight and penalty are tuned anew for each.

    Leaves <out>/decode_<scale>, prior_scales.tsv (scale, LMWT, WIP, errors, words, WER %) and prior_scale, the best of them: of equals
    the one nearest to 1, which is Bayes' rule.
    """
    if not options.scales or len(set(options.scales)) < len(options.scales) or min(options.scales) < 0:
        raise RecipeError("bad value for an option", id="scales", expected="different numbers from 0 on", found=options.scales)
    if (Path(model) / "final.mdl").exists():
        raise RecipeError("a GMM has no priors to scale", file=model, expected="a network or an ensemble", found="final.mdl")
    out, rows = Path(out), {}
    for scale in options.scales:
        folder = out / f"decode_{scale:g}"
        plain = {name: getattr(options, name) for name in DecodeOptions.__dataclass_fields__}
        decode_data(graph, data, [folder], replace(DecodeOptions(**plain), model=str(model), prior_scale=scale))
        score_decoded(data, graph, [folder], ScoreOptions(nj=options.nj, cmd=options.cmd))
        sweep = read_sweep(folder)
        rows[scale] = (pair := choose(sweep)), sweep[pair]
    best = min(rows, key=lambda scale: (rows[scale][1].errors, abs(scale - 1)))
    with publish(out / "prior_scales.tsv") as file:
        file.write("prior scale\tLMWT\tWIP\terrors\twords\tWER %\n")
        for scale, ((lmwt, wip), counts) in rows.items():
            rate = 100 * counts.errors / counts.words
            file.write(f"{scale:g}\t{lmwt:g}\t{wip:g}\t{counts.errors}\t{counts.words}\t{rate:.2f}\n")
    with publish(out / "prior_scale") as file:
        file.write(f"{best:g}\n")
    return best
