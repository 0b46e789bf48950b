"""A network's shape as options: what it is made from, at the paper's size and at one that trains in minutes on a CPU.

Apart from the networks themselves, as options are read and checked in a moment, and torch takes seconds to load.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ..frames.store import WINDOW
from ..io.errors import RecipeError
from ..io.options import option


@dataclass
class Architecture:
    """A network's shape. Empty lists and a splice of -1 mean the preset's."""

    arch: str = option("vision", "dnn, vision, sainath or blstm")
    preset: str = option("mini", "sizes to start from: mini or paper")
    channels: list[int] = option([], "convolution channels: one number per block (vision) or per convolution (sainath)")
    hidden: list[int] = option([], "widths of the fully connected layers, or units per direction of the BLSTM's layers")
    splice: int = option(-1, "frames of context on each side that the dnn sees, at most 20")

    def resolved(self) -> "Architecture":
        """Fills in the preset's values. Raises RecipeError for an unknown name or an impossible shape."""
        for field, known in (("arch", DISPLAY), ("preset", PRESETS)):
            if getattr(self, field) not in known:
                raise RecipeError(f"unknown {field}", id=getattr(self, field), expected="one of " + ", ".join(known))
        preset = PRESETS[self.preset][self.arch]
        shape = dataclasses.replace(self, channels=self.channels or preset.get("channels", []),
                                    hidden=self.hidden or preset["hidden"],
                                    splice=self.splice if self.splice >= 0 else preset.get("splice", -1))
        wanted = len(PRESETS["paper"][self.arch].get("channels", []))
        if len(shape.channels) != wanted or min([*shape.channels, *shape.hidden]) < 1:
            raise RecipeError("impossible network shape", id=self.arch,
                              expected=f"{wanted} channel counts, widths of at least 1",
                              found=f"channels {shape.channels}, hidden {shape.hidden}")
        if shape.splice > WINDOW // 2:
            raise RecipeError("more context than the window holds", id="splice", expected=f"at most {WINDOW // 2}",
                              found=shape.splice)
        return shape


DISPLAY = {"dnn": "DNN", "vision": "vision-style CNN", "sainath": "Sainath-style CNN", "blstm": "BLSTM"}
PRESETS: dict[str, dict[str, dict]] = {
    # 9000 classes give 76.77, 74.68 and 30.35 M parameters; the bigger BLSTM (65.85 M) is hidden = [800] * 4.
    "paper": {
        "dnn": dict(hidden=[2048] * 6, splice=5),
        "vision": dict(channels=[96, 192, 384], hidden=[4096, 4096]),
        "sainath": dict(channels=[324, 324], hidden=[2048] * 4),
        "blstm": dict(hidden=[512] * 4),
    },
    "mini": {
        "dnn": dict(hidden=[256] * 3, splice=8),
        "vision": dict(channels=[16, 32, 64], hidden=[256, 256]),
        "sainath": dict(channels=[24, 24], hidden=[256] * 4),
        "blstm": dict(hidden=[64] * 4),
    },
}


def display_name(shape: Architecture) -> str:
    """How tables call it: 'BLSTM 4x512', 'vision-style CNN'."""
    shape = shape.resolved()
    if shape.arch in ("blstm", "dnn") and len(set(shape.hidden)) == 1:
        return f"{DISPLAY[shape.arch]} {len(shape.hidden)}x{shape.hidden[0]}"
    return DISPLAY[shape.arch]
