"""One line about each directory of an experiment (Kaldi: steps/info/*.pl).

Reads small files and Gaussians, never a network's weights, so that a whole exp directory takes a second or two.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable

from ..io.errors import RecipeError
from ..io.options import load_config
from ..training.records import error_rate, read_records
from .results import count_parameters, read_json
from .tune import lowest, read_sweep

KINDS = ("final.mdl, num_jobs with ali.1.gz, model.safetensors, ensemble.yaml, HCLG.fst, meta.json of a store, "
         "lat.1.npz or wer_*")


def describe(folder) -> str:
    """What the directory is and its main numbers, in one line.

    Raises:
      RecipeError: it does not exist, holds none of the files looked for, or a damaged one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RecipeError("not a directory", file=folder,
                          expected="one of a model, alignment, graph, store or decoding",
                          found="a file" if folder.exists() else "nothing")
    for files, describer in DESCRIBERS:
        if any(any(folder.glob(name)) for name in files):
            try:
                return describer(folder)
            except (KeyError, ValueError) as error:
                raise RecipeError("a file of the directory is damaged, or lacks an entry", file=folder,
                                  expected="what the step that made it writes",
                                  found=f"{type(error).__name__}: {error}", next="make it again") from None
    found = sorted(path.name for path in folder.iterdir())
    raise RecipeError("a directory of unknown kind", file=folder, expected=f"one with {KINDS}",
                      found=", ".join(found[:5]) + (", ..." if len(found) > 5 else "") or "nothing in it")


def ensemble(folder: Path) -> str:
    config = load_config(folder / "ensemble.yaml")
    members = " + ".join(f"{weight:.3g} {name}" for name, weight in zip(config["members"], config["weights"]))
    return join("ensemble", parameters(folder), errors(folder), members)


def network(folder: Path) -> str:
    info = read_json(folder / "info.json")
    return join(info["display"], parameters(folder), f"{info['num_classes']} classes", errors(folder),
                f"best epoch {info['best_epoch']} of {info['epochs']}" if "best_epoch" in info else "")


def unfinished_network(folder: Path) -> str:
    """A training that was stopped or goes on: train.jsonl without weights."""
    records = read_records(folder)
    if not records:
        return join("network, training not finished", "0 epochs so far")
    name, rate = error_rate(records[-1])
    return join("network, training not finished", f"{len(records)} epochs so far", f"{name} {100 * rate:.2f} %")


def graph(folder: Path) -> str:
    if (folder / "sizes.tsv").exists():
        rows = dict(line.split("\t", 1) for line in (folder / "sizes.tsv").read_text().splitlines())
        states, arcs = rows["HCLG"].split("\t")
    else:  # made by Kaldi
        from ..decoding.openfst import read_fst

        fst = read_fst(folder / "HCLG.fst")
        states, arcs = str(fst.num_states), str(len(fst.arcs))
    pdfs = f"{(folder / 'num_pdfs').read_text().strip()} pdfs" if (folder / "num_pdfs").exists() else ""
    return join("graph", f"{states} states", f"{arcs} arcs", pdfs)


def store(folder: Path) -> str:
    meta = read_json(folder / "meta.json")
    kind = re.fullmatch(r"pytorch_nnet (frame|soft-label|lattice|ctc) store \d+", str(meta.get("format")))
    if not kind:
        raise RecipeError("meta.json of an unknown kind", file=folder / "meta.json",
                          expected="a frame store, a CTC store, a soft-label store or a lattice store", found=meta.get("format"))
    counts = (f"{meta['num_frames']} frames", f"{meta['num_classes']} classes")
    if kind[1] == "frame":
        return join("frame store", f"{meta['num_utts']} utterances", *counts, f"{meta['dim']} dimensions")
    if kind[1] == "ctc":
        return join("CTC store", f"{meta['num_utts']} utterances", *counts, f"{meta['num_tokens']} {meta['units']['kind']}", f"{meta['dim']} dimensions")
    if kind[1] == "lattice":
        return join("lattices", f"{meta['num_utts']} utterances", *counts, f"{meta['num_arcs'] / meta['num_frames']:.1f} arcs a frame",
                    f"{len(meta['failed'])} failed", "by " + " + ".join(network["name"] for network in meta["networks"]))
    teachers = " + ".join(teacher["name"] for teacher in meta["teachers"])
    return join("soft labels", *counts, f"at most {meta['max_classes']} a frame, {meta['classes_kept']:.1f} on average",
                f"mass {100 * meta['mass_kept']:.2f} %", f"by {teachers}")


def decoding(folder: Path) -> str:
    if not any(folder.glob("wer_*")):
        return join("decoding", "not scored yet")
    sweep = read_sweep(folder)
    lmwt, wip = lowest(sweep)
    counts = sweep[lmwt, wip]
    return join("decoding", f"WER {counts.wer:.2f} %", f"{counts.ins} ins", f"{counts.dels} del", f"{counts.sub} sub",
                f"{counts.words} words", f"LMWT {lmwt:g}", f"WIP {wip:g}", f"{counts.failed} failed")


def hmm(folder: Path) -> str:
    """A GMM system, or an alignment directory: it has the system's files too, but no training log."""
    from ..hmm.features import FeatureOptions
    from ..io.kaldi_model import read_model

    if not (folder / "final.mdl").exists():
        return join("alignment", *aligned(folder))
    transitions, gaussians = read_model(folder / "final.mdl")
    summary = folder / "log" / "summary.txt"
    log = summary.read_text(encoding="utf-8") if summary.exists() else ""
    loglikes = [f"log-likelihood {float(value):.2f} per frame"
                for value in re.findall(r"log-likelihood (-?[\d.]+) per frame", log)]
    failed = re.findall(r"(\d+) utterances failed", log)
    pdfs = f"{transitions.num_pdfs} pdfs"
    if (folder / "num_jobs").exists() and "iteration" not in log:
        return join("alignment", *aligned(folder), pdfs, *loglikes[-1:])
    if gaussians is None:
        return join("transition model", pdfs, f"{transitions.num_ids} transition-ids")
    return join("GMM", pdfs, f"{gaussians.num_gauss} Gaussians",
                features(folder, FeatureOptions.read(folder), gaussians.dim), *loglikes[-1:],
                *(f"{count} failed" for count in failed[-1:]))


def aligned(folder: Path) -> list[str]:
    from ..io.archives import read_alignments

    alignments = read_alignments(folder)
    frames = sum(map(len, alignments.values()))
    return [f"{len(alignments)} utterances", f"{frames} frames", *failures(folder)]


def failures(folder: Path) -> list[str]:
    from ..hmm.aligned import read_failed

    return [f"{len(read_failed(folder))} failed"] if (folder / "failed").exists() else []


def features(folder: Path, options, dim: int) -> str:
    """The pipeline before the Gaussians, from what lies in a model's directory (Kaldi's names)."""
    steps = ["CMVN" if options.norm_means and options.norm_vars else "CMN" if options.norm_means else "unnormalised"]
    if (folder / "final.mat").exists():
        steps.append("LDA+MLLT")
    elif options.deltas:
        steps.append("deltas")
    if any(folder.glob("trans.*")):
        steps.append("fMLLR")
    return " + ".join(steps) + f" ({dim})"


def parameters(folder: Path) -> str:
    missing: list[str] = []
    count = count_parameters(folder, missing)
    return "; ".join(missing) if count is None else f"{count} parameters"


def errors(folder: Path) -> str:
    """The error rate on dev: FER of frames, UER of a CTC network's units."""
    path = folder / "eval.json"
    found = read_json(path) if path.exists() else {}
    name = "uer" if "uer" in found else "fer"
    return f"{name.upper()} {100 * found[name]:.2f} %" if name in found else "FER not evaluated"


def join(*parts: str) -> str:
    """'kind: number, number'; empty parts are left out."""
    return f"{parts[0]}: " + ", ".join(part for part in parts[1:] if part)


# In the order in which they are looked for: a directory is the first kind one of whose files it holds.
DESCRIBERS: list[tuple[tuple[str, ...], Callable[[Path], str]]] = [
    (("ensemble.yaml",), ensemble),
    (("model.safetensors",), network),
    (("train.jsonl",), unfinished_network),
    (("HCLG.fst",), graph),
    (("meta.json",), store),
    (("wer_*", "lat.*.npz"), decoding),
    (("final.mdl", "num_jobs"), hmm)]
