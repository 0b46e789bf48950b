"""Lhotse storage in plain Kaldi archives, so that feats.scp and the cuts point at the same bytes.

Lhotse's own Kaldi writer compresses (it is lossy) and needs one more package. Here a matrix's storage_path is the
archive and its storage_key the byte offset: `<storage_path>:<storage_key>` is the entry of feats.scp.
"""

from __future__ import annotations

import os

import numpy as np
from lhotse.features.io import FeaturesReader, FeaturesWriter, register_reader, register_writer

from ..io.archives import read_matrix, write_entry

NAME = "kaldi_archive"


@register_writer
class ArchiveWriter(FeaturesWriter):
    """Appends float32 matrices to an open archive.

    Args:
      storage_path: the name the archive will have; manifests carry it.
      stream: where the bytes go now, such as the temporary file of `publish`.
    """

    name = NAME

    def __init__(self, storage_path, stream):
        self._path, self._stream = os.path.abspath(storage_path), stream

    @property
    def storage_path(self) -> str:
        return self._path

    def write(self, key: str, value: np.ndarray) -> str:
        """Appends one matrix under the utterance id `key`; returns its storage key, the offset."""
        start = self._stream.tell()
        return str(start + write_entry(self._stream, key, np.asarray(value, np.float32)))


@register_reader
class ArchiveReader(FeaturesReader):
    """Reads the matrix at an offset of an archive."""

    name = NAME

    def __init__(self, storage_path, *args, **kwargs):
        self.storage_path = storage_path

    def read(self, key: str, left_offset_frames: int = 0, right_offset_frames: int | None = None) -> np.ndarray:
        """Rows left_offset_frames .. right_offset_frames of the matrix at offset `key`."""
        return read_matrix(f"{self.storage_path}:{key}")[left_offset_frames:right_offset_frames]
