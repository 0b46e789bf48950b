"""Checkpoints: everything that decides how a training goes on, in one safetensors file that appears atomically.

    <dir>/checkpoint/last.safetensors
      tensors   {weights,velocity,best_weights,best_velocity}/<name>, sampler (uint8, the generator's state)
      metadata  "state": JSON with the identity of the training, the schedule's state and the log's records

The sampler's generator is the only source of chance after initialisation. No pickle is ever read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from ..io.errors import RecipeError
from ..io.publish import publish_path


def checkpoint_path(folder) -> Path:
    return Path(folder) / "checkpoint" / "last.safetensors"


def save_checkpoint(folder, groups: dict[str, dict[str, Tensor]], sampler: Tensor, state: dict[str, Any]) -> None:
    """Publishes a checkpoint: groups of tensors by name, the sampler's state, and JSON-able facts."""
    from safetensors.torch import save_file

    tensors = {f"{group}/{name}": value.detach().cpu().contiguous()
               for group, members in groups.items() for name, value in members.items()}
    with publish_path(checkpoint_path(folder)) as temporary:
        save_file({**tensors, "sampler": sampler}, temporary, metadata={"state": json.dumps(state)})


def load_checkpoint(folder) -> tuple[dict[str, dict[str, Tensor]], Tensor, dict[str, Any]] | None:
    """Reads what `save_checkpoint` wrote; None if there is no checkpoint. Raises RecipeError if it is damaged."""
    from safetensors import SafetensorError, safe_open

    path = checkpoint_path(folder)
    if not path.exists():
        return None
    groups: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, "pt") as file:
            state = json.loads(file.metadata()["state"])
            sampler = file.get_tensor("sampler")
            for key in file.keys():
                if key != "sampler":
                    group, _, name = key.partition("/")
                    groups.setdefault(group, {})[name] = file.get_tensor(key)
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise RecipeError("checkpoint is damaged", file=path, found=f"{type(error).__name__}: {error}",
                          next=f"remove {path.parent} and train from the start") from None
    return groups, sampler, state
