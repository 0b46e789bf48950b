"""Checkpoints: everything that decides how a training goes on, in one safetensors file that appears atomically.

    <dir>/checkpoint/last.safetensors
      tensors   {weights,velocity,best_weights,best_velocity}/<name>, sampler (uint8, the generator's state), crc32 (int64, one number:
                of the state's text and of every other tensor in the order of their names, as safetensors has no checksum)
      metadata  "state": JSON with the identity of the training, the schedule's state and the log's records (a second entry
                would make the bytes a matter of chance: their order is)

The sampler's generator is the only source of chance after initialisation. No pickle is ever read.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..io.errors import RecipeError, reading
from ..io.publish import publish_path


def checkpoint_path(folder) -> Path:
    return Path(folder) / "checkpoint" / "last.safetensors"


def save_checkpoint(folder, groups: dict[str, dict[str, Tensor]], sampler: Tensor, state: dict[str, Any]) -> None:
    """Publishes a checkpoint: groups of tensors by name, the sampler's state, and JSON-able facts."""
    from safetensors.torch import save_file

    tensors = {f"{group}/{name}": value.detach().cpu().contiguous()
               for group, members in groups.items() for name, value in members.items()}
    with publish_path(checkpoint_path(folder)) as temporary:
        tensors, text = {**tensors, "sampler": sampler}, json.dumps(state)
        save_file({**tensors, "crc32": checksum(text, tensors)}, temporary, metadata={"state": text})


def checksum(text: str, tensors: dict[str, Tensor]) -> Tensor:
    """(1,) int64: CRC-32 of a text and of tensors in the order of their names; 4 GB/s."""
    crc = zlib.crc32(text.encode())
    for name in sorted(tensors):
        crc = zlib.crc32(tensors[name].cpu().contiguous().numpy().reshape(-1).view("u1").data, zlib.crc32(name.encode(), crc))
    return torch.tensor([crc])


def load_checkpoint(folder) -> tuple[dict[str, dict[str, Tensor]], Tensor, dict[str, Any]] | None:
    """Reads what `save_checkpoint` wrote; None if there is no checkpoint. Raises RecipeError if it is damaged."""
    from safetensors import safe_open

    path = checkpoint_path(folder)
    if not path.exists():
        return None
    groups: dict[str, dict[str, Tensor]] = {}
    next_step = f"remove {path.parent} and train from the start"
    with reading(path, "checkpoint is damaged", next=next_step):
        with safe_open(path, "pt") as file:
            text, tensors = file.metadata()["state"], {key: file.get_tensor(key) for key in file.keys()}
        expected = tensors.pop("crc32", None)  # of earlier versions there is none
        found = checksum(text, tensors)
        if expected is not None and int(expected) != int(found):
            raise RecipeError("checkpoint is damaged", file=path, expected=f"CRC-32 {int(expected):08x}", found=f"{int(found):08x}",
                              next=next_step)
        state, sampler = json.loads(text), tensors.pop("sampler")
        for key, value in tensors.items():
            group, name = key.split("/", 1)
            groups.setdefault(group, {})[name] = value
    return groups, sampler, state
