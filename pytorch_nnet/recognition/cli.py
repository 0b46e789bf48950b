"""pytorch-nnet: use a trained system, or make a package of it."""

from __future__ import annotations

import dataclasses
import sys
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..decoding.decode import ScaledSearchOptions, search_of
from ..io.errors import RecipeError
from ..io.main import run_main
from ..io.options import option, parse
from ..io.publish import publish

TRANSCRIBE = """Usage: pytorch-nnet transcribe [options] <audio>...
 e.g.: pytorch-nnet transcribe --package my_system call.wav
       pytorch-nnet transcribe --package my_system --format srt --out call.srt call.wav
       pytorch-nnet transcribe --model exp/cnn --graph exp/tri3/graph --tuned-on exp/cnn/decode_dev_tg call.wav
Audio of any sampling rate that libsndfile reads (WAV, FLAC, SPHERE, OGG, MP3); every channel is a speaker. Text, CTM, SRT or JSON
with the words' times and confidences."""
PACKAGE = """Usage: pytorch-nnet package [options] <package>
 e.g.: pytorch-nnet package --model exp/cnn --graph exp/tri3/graph --tuned-on exp/cnn/decode_dev_tg my_system
Copies a network or an ensemble with its graph, LM weight and search options into one folder, for any machine."""
EXPORT = """Usage: pytorch-nnet export --model DIR [options] <file.onnx>
 e.g.: pytorch-nnet export --model exp/cnn cnn.onnx
Writes a network or an ensemble as an ONNX file: windows of normalised features in, log-likelihoods out (docs/recognition.md)."""
USAGE = "\n\n".join([TRANSCRIBE, PACKAGE, EXPORT, "Options of each: pytorch-nnet transcribe --help, package --help, export --help"])


# Each may be given in place of what the decoding had.
SEARCH = [(field.name, typing.get_type_hints(ScaledSearchOptions)[field.name] | None,
           option(None, f"{field.metadata['help']}; null: as --tuned-on was decoded")) for field in dataclasses.fields(ScaledSearchOptions)]
SearchChanges: Any = dataclasses.make_dataclass("SearchChanges", SEARCH)


@dataclass
class SystemOptions(SearchChanges):
    model: str = option("", "directory of a network or an ensemble")
    graph: str = option("", "its decoding graph (steps/mkgraph)")
    tuned_on: str = option("", "decoding directory of a dev set: LM weight and insertion penalty are those best there, the search is that decoding's")
    device: str = option("cpu", "of the network: cpu or cuda")


@dataclass
class TranscribeOptions(SystemOptions):
    package: str = option("", "folder of pytorch-nnet package, in place of --model, --graph, --tuned-on and the search options")
    format: str = option("text", "text, ctm, srt or json")
    out: str = option("", "file to write; empty: standard output")


def transcribe(argv: list[str]) -> int:
    options, files = parse(TranscribeOptions, argv, TRANSCRIBE, nargs=(1, 10_000))

    from .transcript import FORMATS

    if options.format not in FORMATS:
        raise RecipeError("bad value for an option", id="format", expected=" or ".join(FORMATS), found=options.format)
    if options.format == "srt" and len(files) > 1:
        raise RecipeError("subtitles are of one file", id="format", expected="one audio file", found=f"{len(files)} files")
    from .recognizer import Recognizer

    recognizer = Recognizer.open(options.package, options.device) if options.package else Recognizer(system(options))
    transcripts = recognizer.transcribe(files)
    written = FORMATS[options.format](transcripts)
    if options.out:
        with publish(options.out) as file:
            file.write(written)
    else:
        sys.stdout.write(written)
    lost = [(t, begin, end) for t in transcripts for begin, end in t.failed]
    for t, begin, end in lost:
        print(f"WARNING: {t.file}, channel {t.channel}: no path from {begin:.2f} to {end:.2f} s, no words there", file=sys.stderr)
    return 1 if lost else 0


def package(argv: list[str]) -> None:
    options, (folder,) = parse(SystemOptions, argv, PACKAGE, nargs=1)

    from .package import write_package

    if Path(folder).exists() and not (Path(folder) / "package.json").exists():
        raise RecipeError("a folder that is no package is in the way", file=folder, next="name another, or remove it")
    made = system(options)
    write_package(made, folder)
    size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    print(f"{folder}: {made.model.display}, {made.model.parameters / 1e6:.2f} M parameters, LM weight {made.lmwt:g}, insertion penalty "
          f"{made.wip:g}, {size / 1e6:.1f} MB")


@dataclass
class ExportOptions:
    model: str = option("", "directory of a network or an ensemble")
    prior_scale: float = option(1.0, "exponent of the priors the posteriors are divided by, as of steps/decode")


def export(argv: list[str]) -> None:
    options, (path,) = parse(ExportOptions, argv, EXPORT, nargs=1)
    if not options.model:
        raise RecipeError("which network?", id="--model", expected="the directory of a network or an ensemble", found="not given")

    from ..models import load_model
    from .export import export_onnx

    model = load_model(options.model)
    size = export_onnx(model, path, options.prior_scale)
    print(f"{path}: {model.display}, {model.num_classes} classes, {size / 1e6:.1f} MB", file=sys.stderr)


def system(options: SystemOptions):
    """The Package of an experiment's folders."""
    from .package import from_experiment

    missing = [f"--{name.replace('_', '-')}" for name in ("model", "graph", "tuned_on") if not getattr(options, name)]
    if missing:
        raise RecipeError("which system?", id=", ".join(missing), expected="--package, or --model, --graph and --tuned-on", found="not given")
    given = {name: value for name, _, _ in SEARCH if (value := getattr(options, name)) is not None}
    search = dataclasses.replace(search_of(options.tuned_on), **given)
    search.check()
    return from_experiment(options.model, options.graph, options.tuned_on, search, options.device)


COMMANDS = {"transcribe": transcribe, "package": package, "export": export}


def main(argv: list[str]) -> int | None:
    if argv[:1] in ([], ["--help"], ["-h"]):
        print(USAGE)
        return 0 if argv else 1
    if argv[0] not in COMMANDS:
        raise RecipeError("unknown command", id=argv[0], expected=" or ".join(COMMANDS), next="pytorch-nnet --help")
    return COMMANDS[argv[0]](argv[1:])


def console() -> None:
    """The entry point of an installed package."""
    run_main(main)
