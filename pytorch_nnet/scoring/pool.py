"""Error counts of decodings of disjoint sets, such as the held-out parts of a cross-validation, as those of one decoding."""

from __future__ import annotations

from functools import reduce
from operator import add
from pathlib import Path
from typing import Sequence

from ..io.errors import RecipeError
from ..io.publish import publish_folder
from .scored import pair_name
from .tune import read_sweep
from .wer import write_wer


def pool_scores(folders: Sequence[str | Path], target) -> int:
    """Publishes `target`/wer_<LMWT>_<WIP> with the sums of the decoding directories' counts; returns how many pairs there are.

    Raises:
      RecipeError: a directory without scores, or scored at other pairs than the first.
    """
    sweeps = [read_sweep(folder) for folder in folders]
    for folder, sweep in zip(folders, sweeps):
        if sweep.keys() != sweeps[0].keys():
            lmwt, wip = min(sweep.keys() ^ sweeps[0].keys())
            raise RecipeError("decodings scored at different LM weights and penalties", file=folder, id=f"LMWT {lmwt:g}, WIP {wip:g}",
                              expected=f"the {len(sweeps[0])} pairs of {folders[0]}", found=f"{len(sweep)} pairs",
                              next="steps/score <data> <lang> <decode-dir>, with the same options")
    title = f"# sum of {' '.join(map(str, folders))}"
    with publish_folder(target) as made:
        for pair in sorted(sweeps[0]):
            write_wer(made / f"wer_{pair_name(pair)}", reduce(add, (sweep[pair] for sweep in sweeps)), title, {})
    return len(sweeps[0])
