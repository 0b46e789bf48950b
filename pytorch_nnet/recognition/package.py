"""A finished system in one folder that another machine can use.

    <package>/package.json       format, version of this software, the system's name, LM weight, insertion penalty, search options, and
                                 size and SHA-256 of every other file
              networks/<n>/      one network, or an ensemble's members: config.yaml, info.json, prior_counts, model.safetensors
              networks/ensemble/ their weights (ensemble.yaml), where there are several
              graph/             graph.npz, words.txt, phones.txt, num_pdfs

It holds no path and nothing that runs.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..decoding.decode import ScaledSearchOptions
from ..io.errors import RecipeError, require_file
from ..io.options import build
from ..io.publish import publish_folder
from ..models import load_model

FORMAT = "pytorch_nnet package 1"
NETWORK_FILES = ("config.yaml", "info.json", "prior_counts", "model.safetensors")
GRAPH_FILES = ("graph.npz", "words.txt", "phones.txt", "num_pdfs")
ENSEMBLE = "networks/ensemble/ensemble.yaml"
NEXT = "make the package again (pytorch-nnet package), or copy it again"


@dataclass
class Package:
    """What a recogniser needs: model (Network or Ensemble), graph folder, LM weight, insertion penalty, search options."""

    name: str
    model: Any
    graph: Path
    lmwt: float
    wip: float
    search: ScaledSearchOptions

    def __post_init__(self) -> None:
        """Raises RecipeError for a graph of another number of pdfs, or a model that does not say how its features are made."""
        counted = Path(require_file(self.graph / "num_pdfs", next="make the graph first (steps/mkgraph)")).read_text().strip()
        if counted != str(self.model.num_classes):
            raise RecipeError("graph and model disagree", file=self.graph, id=self.model.path, expected=f"{self.model.num_classes} pdfs",
                              found=counted, next="name the graph that the model was decoded with")
        if self.model.extractor.get("feature_type") != "root-fbank" or self.model.extractor.get("frame_shift") != 10.0:
            raise RecipeError("model does not say how to make its features from audio", file=self.model.path,
                              expected="filterbanks of steps/make_fbank, a frame every 10 ms, in info.json as extractor",
                              found=self.model.extractor or "nothing",
                              next="train it on a frame store whose features steps/make_fbank of this version made")


def write_package(package: Package, folder) -> None:
    """Publishes `folder`, as above."""
    with publish_folder(folder) as temporary:
        members = package.model.members
        for number, (network, _) in enumerate(members, 1):
            (temporary / "networks" / str(number)).mkdir(parents=True)
            for name in NETWORK_FILES:
                shutil.copyfile(network.path / name, temporary / "networks" / str(number) / name)
        if len(members) > 1:
            from ..models.model_dir import make_ensemble

            make_ensemble(temporary / "networks" / "ensemble",
                          [f"{temporary}/networks/{number}:{weight!r}" for number, (_, weight) in enumerate(members, 1)])
        (temporary / "graph").mkdir()
        for name in GRAPH_FILES:
            shutil.copyfile(require_file(package.graph / name, next="make the graph first (steps/mkgraph)"), temporary / "graph" / name)
        files = {str(path.relative_to(temporary)): {"bytes": path.stat().st_size, "sha256": digest(path)}
                 for path in sorted(temporary.rglob("*")) if path.is_file()}
        facts = {"format": FORMAT, "version": __version__, "name": package.name, "lmwt": package.lmwt, "wip": package.wip,
                 "search": asdict(package.search), "files": files}
        (temporary / "package.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def open_package(folder, device: str = "cpu") -> Package:
    """Opens a package after checking every file of it.

    Raises:
      RecipeError: not a package, one of a newer format, a file missing or changed.
    """
    folder = Path(folder)
    path = Path(require_file(folder / "package.json", next=NEXT))
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        files, search = facts["files"], facts["search"]
        package_format, name, lmwt, wip = (facts[key] for key in ("format", "name", "lmwt", "wip"))
    except (ValueError, KeyError, TypeError) as error:
        raise RecipeError("not a package", file=path, expected="package.json of pytorch-nnet package", found=repr(error), next=NEXT) from None
    if package_format != FORMAT:
        raise RecipeError("package of another format", file=path, expected=FORMAT, found=package_format,
                          next=f"use the version that made it ({facts.get('version')}), or make it again with this one ({__version__})")
    needed = {f"graph/{name}" for name in GRAPH_FILES} | {f"networks/1/{name}" for name in NETWORK_FILES}
    check_names(folder, files, needed, path)
    for name_of, entry in sorted({**dict.fromkeys(needed), **files}.items()):
        if entry is None or not (folder / name_of).is_file():
            raise RecipeError("file missing from a package", file=folder / name_of, next=NEXT)
        if (found := digest(folder / name_of)) != entry["sha256"]:
            raise RecipeError("file of a package is damaged", file=folder / name_of, expected=f"sha256 {entry['sha256']}", found=found, next=NEXT)
    several = ENSEMBLE in files
    model = load_model(folder / "networks" / ("ensemble" if several else "1"), device)
    for network, _ in model.members:
        if network.path.parent.resolve() != (folder / "networks").resolve():
            raise RecipeError("package with a network outside it", file=folder / ENSEMBLE, id=network.path,
                              expected=f"networks of {folder / 'networks'}", found="another folder", next=NEXT)
    return Package(name, model, folder / "graph", lmwt, wip, build(ScaledSearchOptions, search, where=str(path)))


def check_names(folder: Path, files: Any, needed: set[str], path: Path) -> None:
    """Raises RecipeError if `files`, {name: {bytes, sha256}}, and `needed` lack a file that is in the package, or name a link or a place outside."""
    if not isinstance(files, dict) or not all(isinstance(entry, dict) and isinstance(entry.get("sha256"), str) for entry in files.values()):
        raise RecipeError("not a package", file=path, id="files", expected="{name: {bytes, sha256}}", found=str(files)[:80], next=NEXT)
    inside = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() or file.is_symlink()} - {path.name}
    surplus = inside - files.keys() - needed
    outside = {name for name in files.keys() | inside if set(Path(name).parts) & {"..", "/"} or (folder / name).is_symlink()}
    for name in sorted(surplus | outside):
        raise RecipeError("file that is no part of the package", file=path, id=name, expected="the files listed, in the package's folder",
                          found="a link, or a place outside" if name in outside else "a file not listed", next=NEXT)


def from_experiment(model_dir, graph, tuned_on, search: ScaledSearchOptions, device: str = "cpu") -> Package:
    """A system of an experiment folder, with the LM weight and insertion penalty that are best on a scored decoding directory."""
    from ..scoring.tune import choose, read_sweep

    lmwt, wip = choose(read_sweep(tuned_on))
    return Package(Path(model_dir).absolute().name, load_model(model_dir, device), Path(graph), lmwt, wip, search)


def digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
