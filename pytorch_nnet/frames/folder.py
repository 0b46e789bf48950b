"""What the stores share: a folder of raw little-endian arrays described by meta.json."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..io.errors import RecipeError, reading, require_file
from ..io.publish import publish

# An array's name says its type; no file can have another read (an object's would be taken for addresses).
DTYPES = {".u8": "|u1", ".u16": "<u2", ".f16": "<f2", ".f32": "<f4", ".f64": "<f8", ".i64": "<i8", ".txt": "|u1"}
Kind = TypeVar("Kind", bound="Store")


class ArrayFile:
    """Appends numpy arrays to `<folder>/<name>`, counting bytes and hashing on the way."""

    def __init__(self, folder: Path, name: str, dtype: str):
        self.name, self.dtype, self.bytes = name, np.dtype(dtype), 0
        self.hash = hashlib.sha256()
        self.file = open(folder / name, "wb")

    def append(self, values: np.ndarray) -> None:
        raw = np.ascontiguousarray(values, self.dtype).tobytes()
        self.file.write(raw)
        self.hash.update(raw)
        self.bytes += len(raw)

    def close(self) -> dict[str, Any]:
        """Closes the file; returns its entry for meta.json."""
        self.file.close()
        return {"dtype": self.dtype.str, "items": self.bytes // self.dtype.itemsize, "sha256": self.hash.hexdigest()}


def write_meta(folder: Path, meta: dict[str, Any]) -> None:
    with publish(Path(folder) / "meta.json") as file:
        json.dump(meta, file, indent=1, ensure_ascii=False)
        file.write("\n")


def read_meta(folder, format: str, next: str) -> dict[str, Any]:
    """Reads meta.json and checks that it describes a store of this `format`."""
    path = Path(folder) / "meta.json"
    require_file(path, next=next)
    with reading(path, "meta.json is not JSON", next=next):
        meta = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(meta, dict) or meta.get("format") != format:
        raise RecipeError("not a store of this kind", file=path, expected=format,
                          found=meta.get("format") if isinstance(meta, dict) else type(meta).__name__, next=next)
    return meta


def map_array(folder, meta: dict[str, Any], name: str, next: str) -> np.ndarray:
    """Maps one array into memory, after checking that the file has the size meta.json promises.

    The mapping is private (copy on write): nothing written to it can reach the file.
    """
    path, entry = Path(folder) / name, meta["arrays"][name]
    if "/" in name or DTYPES.get(path.suffix) != entry["dtype"] or not isinstance(entry["items"], int):
        raise RecipeError("array of another kind than stores have", file=Path(folder) / "meta.json", id=name,
                          expected="a name in this folder with the type that it says", found=entry["dtype"], next=next)
    dtype = np.dtype(entry["dtype"])
    expected = entry["items"] * dtype.itemsize
    found = path.stat().st_size if path.exists() else None
    if found != expected:
        raise RecipeError("array of a store has the wrong size", file=path, expected=f"{expected} bytes",
                          found="no such file" if found is None else f"{found} bytes", next=next)
    return np.memmap(path, dtype, "c") if expected else np.empty(0, dtype)


def verify(folder, meta: dict[str, Any], next: str) -> None:
    """Reads every array and compares its size and SHA-256 with meta.json."""
    for name, entry in meta["arrays"].items():
        map_array(folder, meta, name, next)
        with open(require_file(Path(folder) / name, next=next), "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != entry["sha256"]:
            raise RecipeError("array of a store is damaged", file=Path(folder) / name,
                              expected=f"sha256 {entry['sha256']}", found=found, next=next)


def identity(meta: dict[str, Any]) -> str:
    """A hash of the content: equal for stores with equal arrays and facts, wherever they lie."""
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


class Store:
    """An opened store. path: its folder. meta: what meta.json says. identity: hash of the content."""

    FORMAT = ""
    NEXT = ""  # what to run where it is damaged

    def __init__(self, path, meta: dict[str, Any]):
        self.path, self.meta, self.identity = Path(path), meta, identity(meta)

    @classmethod
    def open(cls: type[Kind], path, *, check_hashes: bool = True) -> Kind:
        """Opens a store, reading all of it once to compare hashes (1.5 GB/s), unless `check_hashes` is False.

        Raises RecipeError for a missing file, a wrong size or wrong content.
        """
        meta = read_meta(path, cls.FORMAT, cls.NEXT)
        with reading(Path(path) / "meta.json", next=cls.NEXT):
            if check_hashes:
                verify(path, meta, cls.NEXT)
            return cls(path, meta)

    def map(self, name: str) -> np.ndarray:
        """One of its arrays (`map_array`)."""
        return map_array(self.path, self.meta, name, self.NEXT)
