"""A recurrent language model over words: LSTM layers (Mikolov et al. 2010; Sundermeyer et al. 2012), dropout between them (Zaremba et al. 2014).

Every sentence begins from nothing. One symbol, the boundary, is read as <s> and predicted as </s>.

    <dir>/model.safetensors   weights           words.txt     the vocabulary, a word a line; the boundary, </s>, first
          config.yaml         the options       info.json     parameters, perplexity on the dev text, SHA-256 of the weights
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

from torch import Tensor, nn

from ..io.errors import RecipeError, reading, require_file
from ..io.options import build, load_config, option
from ..io.publish import publish

BOUNDARY = 0  # its number; BOUNDARY_WORD its name
BOUNDARY_WORD = "</s>"
NEXT = "make it again: steps/train_rnnlm"

LstmState = tuple[Tensor, Tensor]  # (layers, B, hidden) each


@dataclass
class WordLmOptions:
    embedding: int = option(128, "numbers that stand for a word")
    hidden: int = option(256, "units of each layer")
    layers: int = option(1, "LSTM layers")
    dropout: float = option(0.3, "share of each layer's inputs, and of the last one's outputs, that training hides")

    def check(self) -> None:
        for name, least, most in (("embedding", 1, 1 << 14), ("hidden", 1, 1 << 14), ("layers", 1, 16), ("dropout", 0, 0.95)):
            if not least <= getattr(self, name) <= most:
                raise RecipeError("option out of range", id=name, expected=f"{least} to {most}", found=getattr(self, name))


class WordLm(nn.Module):
    """Args: words: the vocabulary, the boundary among them."""

    def __init__(self, options: WordLmOptions, words: int):
        super().__init__()
        self.embedding = nn.Embedding(words, options.embedding)
        self.lstm = nn.LSTM(options.embedding, options.hidden, options.layers, batch_first=True,
                            dropout=options.dropout if options.layers > 1 else 0.0)
        self.dropout = nn.Dropout(options.dropout)
        self.output = nn.Linear(options.hidden, words)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.uniform_(self.output.weight, -0.1, 0.1)
        nn.init.zeros_(self.output.bias)

    def forward(self, words: Tensor, state: LstmState | None = None) -> tuple[Tensor, LstmState]:
        """(B, T) word numbers, the boundary first -> (B, T, words) logits of the next word, and the state after the last."""
        hidden, state = self.lstm(self.dropout(self.embedding(words)), state)
        return self.output(self.dropout(hidden)), state


class TrainedWordLm:
    """A loaded model: `module` in evaluation, `words` by number, `ids` by word."""

    def __init__(self, folder, module: WordLm, words: Sequence[str], info: dict[str, Any]):
        self.path, self.module, self.words, self.info = Path(folder), module.eval(), list(words), info
        self.ids = {word: number for number, word in enumerate(self.words)}

    def sizes(self) -> str:
        return f"{len(self.words)} words, {self.info['parameters']} parameters, perplexity {self.info['perplexity']:.1f} on the dev text"


def save_word_lm(folder, module: WordLm, words: Sequence[str], options: dict[str, Any], info: dict[str, Any]) -> None:
    """Publishes a model's files, the weights last."""
    import yaml
    from safetensors.torch import save

    folder = Path(folder)
    weights = save({name: value.contiguous() for name, value in module.state_dict().items()})
    info = {"parameters": sum(parameter.numel() for parameter in module.parameters()), **info, "sha256": hashlib.sha256(weights).hexdigest()}
    with publish(folder / "words.txt") as file:
        file.writelines(f"{word}\n" for word in words)
    with publish(folder / "config.yaml") as file:
        yaml.safe_dump(options, file, sort_keys=False)
    with publish(folder / "info.json") as file:
        json.dump(info, file, indent=1)
        file.write("\n")
    with publish(folder / "model.safetensors", "wb") as file:
        file.write(weights)


def load_word_lm(folder) -> TrainedWordLm:
    """Raises RecipeError for a directory of something else, a missing or damaged file."""
    from safetensors.torch import load

    folder = Path(folder)
    for name in ("model.safetensors", "config.yaml", "info.json", "words.txt"):
        require_file(folder / name, next="train it first (steps/train_rnnlm)")
    content = (folder / "model.safetensors").read_bytes()
    words = (folder / "words.txt").read_text(encoding="utf-8").splitlines()
    with reading(folder / "info.json", next=NEXT):
        info = dict(json.loads((folder / "info.json").read_text()))
        expected = info["sha256"], info["perplexity"], info["parameters"]
    if expected[0] != hashlib.sha256(content).hexdigest():
        raise RecipeError("weights file is damaged, or another model's", file=folder / "model.safetensors", expected=f"sha256 {expected[0]}",
                          found="another", next=NEXT)
    if words[:1] != [BOUNDARY_WORD]:
        raise RecipeError("not the words of a recurrent language model", file=folder / "words.txt", expected=f"{BOUNDARY_WORD} first",
                          found=repr(words[:1]), next=NEXT)
    config = load_config(folder / "config.yaml")
    options = build(WordLmOptions, {name: config[name] for name in WordLmOptions.__dataclass_fields__ if name in config},
                    where=str(folder / "config.yaml"))
    options.check()
    module = WordLm(options, len(words))
    with reading(folder / "model.safetensors", next=NEXT):
        module.load_state_dict(load(content))
    return TrainedWordLm(folder, module, words, info)
