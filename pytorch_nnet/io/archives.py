"""Archives of a data directory (.ark/.scp, through kaldiio) and of an alignment directory (ali.*.gz).

kaldiio hands a name with a pipe to the shell, so every name passes `refuse_pipe` first; and it unpickles, which `NoPickle` ends.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO, Container, Iterable, Iterator, Mapping

import kaldiio
import numpy as np

from .errors import RecipeError, reading, require_file
from .kaldi_ark import int_vectors_to_bytes, read_int_vectors
from .publish import publish


class NoPickle:
    """kaldiio runs whatever an archive entry marked PKL holds; Kaldi writes no such entries, so here they are damage."""

    @staticmethod
    def load(*_, **__):
        raise ValueError("a pickle, which would run code, instead of a matrix")


kaldiio.matio.pickle = NoPickle


def refuse_pipe(value: str, *, file=None, id=None, allow: bool = False) -> str:
    """Returns an extended filename; raises RecipeError if it would run a command and `allow` is False."""
    if not allow and (value.rstrip().endswith("|") or value.lstrip().startswith("|")):
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
            key, _, value = line.strip().partition(" ")
            if not value.strip():
                raise RecipeError("a line without a value", file=f"{path}:{number}", expected="<key> <value>", found=repr(line))
            if previous is not None and key.encode() <= previous.encode():
                what = "repeated key" if key == previous else "not sorted in C order"
                raise RecipeError(what, file=f"{path}:{number}", id=key, expected=f"a key after '{previous}'", found=key,
                                  next=f"utils/fix_data_dir {Path(path).parent}")
            table[key] = refuse_pipe(value.strip(), file=path, id=key, allow=allow_pipes)
            previous = key
    return table


def read_matrix(entry: str, *, file=None, id=None) -> np.ndarray:
    """Reads one matrix or vector at 'archive.ark:offset'."""
    refuse_pipe(entry, file=file, id=id)
    try:
        return np.asarray(kaldiio.load_mat(entry))
    except FileNotFoundError:
        raise RecipeError("archive is missing", file=file, id=id, expected=entry, found="no such file") from None
    except Exception as error:  # noqa: BLE001 (damage shows as any)
        raise RecipeError("archive cannot be read", file=file, id=id, expected=f"a Kaldi matrix at {entry}",
                          found=f"{type(error).__name__}: {error}") from None


def read_archive(stream: IO[bytes]) -> Iterator[tuple[str, np.ndarray]]:
    """Reads (key, matrix) pairs from an open binary stream, such as a pipe."""
    try:
        yield from kaldiio.load_ark(stream)
    except (ValueError, EOFError, AssertionError, AttributeError) as error:
        raise RecipeError("archive stream ends or breaks in the middle of an entry", file=getattr(stream, "name", None),
                          expected="whole 'key <binary matrix>' entries", found=f"{type(error).__name__}: {error}") from None


def write_archive(stream: IO[bytes], key: str, matrix: np.ndarray) -> None:
    """Appends one binary float32 matrix to an open stream and flushes it."""
    kaldiio.save_ark(stream, {key: np.ascontiguousarray(matrix, dtype=np.float32)})
    stream.flush()


def write_ark_scp(ark, scp, pairs: Iterable[tuple[str, np.ndarray]]) -> int:
    """Publishes an archive and its index; `pairs` in C order. dtype is kept (float32 or float64). Returns the count.

    The index names the archive by absolute path, as Kaldi's do, so that data directories may be copied.
    """
    ark, count = Path(ark).absolute(), 0
    with publish(scp) as index, publish(ark, "wb") as archive:
        for key, matrix in pairs:
            offset = archive.tell() + len(key.encode()) + 1
            kaldiio.save_ark(archive, {key: np.ascontiguousarray(matrix)})
            index.write(f"{key} {ark}:{offset}\n")
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
