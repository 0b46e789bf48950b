"""Archives of a data directory (.ark/.scp) and of an alignment directory (ali.*.gz), and the tables that point into them."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from typing import IO, Container, Iterable, Iterator, Mapping

import numpy as np

from .errors import RecipeError, reading, require_file
from .ids import check_id, fault
from .kaldi_ark import MAX_KEY, int_vectors_to_bytes, read_int_vectors
from .kaldi_binary import HEADER, array
from .kaldi_matrix import read_object
from .publish import publish

# archive.ark:offset[first:last], as in Kaldi's feats.scp; both row numbers are inside.
ENTRY = re.compile(r"(?P<path>.*?)(?::(?P<offset>\d{1,18}))?(?:\[(?P<first>\d{1,9}):(?P<last>\d{1,9})\])?", re.DOTALL)


LINE = re.compile(r"[ \t]*([^ \t]*)[ \t]*(.*?)[ \t\r\n]*", re.DOTALL)


def split_line(line: str) -> tuple[str, str]:
    """(key, value) of a line of a table, parted by blanks or tabs as in Kaldi; the value may be empty."""
    return LINE.fullmatch(line.rstrip("\r\n")).groups()  # type: ignore[union-attr,return-value]  # it matches anything


def refuse_pipe(value: str, *, file=None, id=None, allow: bool = False) -> str:
    """Returns an extended filename; raises RecipeError if it would run a command and `allow` is False."""
    path = ENTRY.fullmatch(value.strip())["path"]  # type: ignore[index]  # it matches anything
    if not allow and (value.strip().endswith("|") or path.strip().endswith("|") or path.strip().startswith("|")):
        raise RecipeError("an entry with a pipe runs a shell command, which is refused", file=file, id=id,
                          expected="a path, or path:offset", found=value,
                          next="if you trust it, call the step again with --allow-pipes true")
    return value


def read_scp(path, *, allow_pipes: bool = False) -> dict[str, str]:
    """Reads 'key value' lines in C order into a dict, refusing pipes, repeats and an order other than C's."""
    table: dict[str, str] = {}
    previous = None
    with reading(path, "not a text file of UTF-8"), open(require_file(path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            key, value = split_line(line)
            if not value:
                raise RecipeError("a line without a value", file=f"{path}:{number}", expected="<key> <value>", found=repr(line))
            if previous is not None and key.encode() <= previous.encode():
                what = "repeated key" if key == previous else "not sorted in C order"
                raise RecipeError(what, file=f"{path}:{number}", id=key, expected=f"a key after '{previous}'", found=key,
                                  next=f"utils/fix_data_dir {Path(path).parent}")
            table[check_id(key, file=f"{path}:{number}")] = refuse_pipe(value, file=path, id=key, allow=allow_pipes)
            previous = key
    return table


def read_matrix(entry: str, *, file=None, id=None, opened: dict[str, IO[bytes]] | None = None) -> np.ndarray:
    """Reads one matrix or vector at 'archive.ark:offset', perhaps with a range of rows; never runs a command.

    Args:
      opened: archives that stay open between calls; opening one again for every utterance takes longer than reading the matrix.
    """
    refuse_pipe(entry, file=file, id=id)
    path, offset, first, last = ENTRY.fullmatch(entry.strip()).groups()  # type: ignore[union-attr]
    known = {} if opened is None else opened
    try:
        if path not in known:
            known[path] = _open_archive(path)
        stream = known[path]
        stream.seek(int(offset or 0))
        value = read_object(stream)
        if first is None:
            return value
        if int(last) >= len(value) + 3:  # Kaldi lets a range end a little behind its matrix, as rounded times have it do
            raise ValueError(f"{len(value)} rows")
        return value[int(first):int(last) + 1]
    except FileNotFoundError:
        raise RecipeError("archive is missing", file=file, id=id, expected=entry, found="no such file") from None
    except Exception as error:  # noqa: BLE001 (damage shows as any)
        found = error.found if isinstance(error, RecipeError) else error
        raise RecipeError("archive cannot be read", file=file, id=id, expected=f"a Kaldi matrix at {entry}",
                          found=f"{type(error).__name__}: {found}") from None
    finally:
        if opened is None:
            for stream in known.values():
                stream.close()


def _open_archive(path: str) -> IO[bytes]:
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError("no regular file")
    return open(path, "rb")


def read_archive(stream: IO[bytes]) -> Iterator[tuple[str, np.ndarray]]:
    """Reads (key, matrix) pairs from an open binary stream, such as a pipe."""
    try:
        while letter := stream.read(1):
            key = b""
            while letter != b" ":
                key += letter
                letter = stream.read(1)
                if not letter or len(key) > MAX_KEY:
                    raise ValueError(f"no key, but {key[:16]!r}")
            if reason := fault(key.decode()):
                raise ValueError(f"a key with {reason}")
            yield key.decode(), read_object(stream)
    except (ValueError, RecipeError) as error:
        found = error.found if isinstance(error, RecipeError) else error
        raise RecipeError("archive stream ends or breaks in the middle of an entry", file=getattr(stream, "name", None),
                          expected="whole 'key <binary matrix>' entries", found=found) from None


def write_archive(stream: IO[bytes], key: str, matrix: np.ndarray) -> None:
    """Appends one binary float32 matrix to an open stream and flushes it."""
    write_entry(stream, key, np.asarray(matrix, np.float32))
    stream.flush()


def write_entry(stream: IO[bytes], key: str, matrix: np.ndarray) -> int:
    """Appends one binary matrix or vector, float64 if it is, else float32; returns the number of bytes before the object itself."""
    head = check_id(key).encode() + b" "
    stream.write(head + HEADER)
    stream.write(array(matrix, keep=True))
    return len(head)


def write_ark_scp(ark, scp, pairs: Iterable[tuple[str, np.ndarray]]) -> int:
    """Publishes an archive and its index; `pairs` in C order. dtype is kept (float32 or float64). Returns the count.

    The index names the archive by absolute path, as Kaldi's do, so that data directories may be copied.
    """
    ark, count = Path(ark).absolute(), 0
    with publish(scp) as index, publish(ark, "wb") as archive:
        for key, matrix in pairs:
            start = archive.tell()
            index.write(f"{key} {ark}:{start + write_entry(archive, key, matrix)}\n")
            count += 1
    return count


def read_ali(path) -> dict[str, np.ndarray]:
    """Reads int32 vectors (transition-ids or pdf-ids) from `ali.JOB.gz`, binary or text, or from an uncompressed archive."""
    return read_int_vectors(path)


def write_ali(path, alignments: Mapping[str, np.ndarray]) -> None:
    """Publishes int32 vectors as a gzipped binary Kaldi archive, keys in C order, the same bytes for the same content."""
    in_order = {key: alignments[key] for key in sorted(alignments, key=str.encode)}
    # Level 6 is what `gzip -c` in Kaldi's scripts takes; 9 takes twenty times as long.
    with publish(path, "wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as archive:
        archive.write(int_vectors_to_bytes(in_order))


def read_alignments(folder, wanted: Container[str] | None = None) -> dict[str, np.ndarray]:
    """Reads every ali.JOB.gz of an alignment directory (its num_jobs file says how many); keeps the `wanted` utterances, or all.

    A job names its own utterances: all of a large corpus' alignments take 1.4 MB an hour.
    """
    folder = Path(folder)
    with reading(folder / "num_jobs", "not a number of jobs", next="align again (steps/align_si, steps/align_nnet)"):
        jobs = int(Path(require_file(folder / "num_jobs", next="align first (steps/align_si, steps/align_nnet)")).read_text())
    alignments: dict[str, np.ndarray] = {}
    for job in range(1, jobs + 1):
        part = read_ali(folder / f"ali.{job}.gz")
        if twice := alignments.keys() & part.keys():
            raise RecipeError("utterance in two archives of an alignment", file=folder / f"ali.{job}.gz", id=min(twice),
                              expected=f"each utterance in one of the {jobs} that num_jobs counts", found=f"{len(twice)} again",
                              next="align again (steps/align_si, steps/align_nnet)")
        alignments.update(part if wanted is None else {utt: path for utt, path in part.items() if utt in wanted})
    return alignments
