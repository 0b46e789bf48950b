"""A training's records as TensorBoard reads them: an event file of scalars, without TensorBoard.

The file is a row of TFRecords: length (uint64), its checksum, content, its checksum (little-endian; CRC-32C of Castagnoli, masked as in
TensorFlow's lib/hash/crc32c.h). Content is an Event of tensorflow/core/util/event.proto: wall_time = 1 (double), step = 2 (varint),
file_version = 3 (string) in the first, summary = 5 in the others, which holds values = 1 of tag = 1 (string) and simple_value = 2 (float).
"""

from __future__ import annotations

import struct
from itertools import accumulate
from pathlib import Path
from typing import Iterator, Mapping, Sequence

from ..io.publish import publish
from .records import error_rate

FILE = "events.out.tfevents.0.train"  # TensorBoard looks for tfevents in the name
VERSION = b"brain.Event:2"
SCALARS = {"cross-entropy/training": "train_loss", "cross-entropy/dev": "valid_loss", "learning rate": "lr"}
POLYNOMIAL = 0x82F63B78  # of CRC-32C, reversed


def crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


TABLE = crc_table()


def crc32c(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def checksum(content: bytes) -> bytes:
    crc = crc32c(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def tf_record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + checksum(length) + content + checksum(content)


def varint(value: int) -> bytes:
    groups = []
    while True:
        value, low = value >> 7, value & 0x7F
        groups.append(low | (0x80 if value else 0))
        if not value:
            return bytes(groups)


def field(number: int, content: bytes) -> bytes:
    """A string or message of a protocol buffer."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def event(seconds: float, step: int, values: Mapping[str, float]) -> bytes:
    summary = b"".join(field(1, field(1, tag.encode()) + b"\x15" + struct.pack("<f", value)) for tag, value in values.items())
    return b"\x09" + struct.pack("<d", seconds) + b"\x10" + varint(step) + field(5, summary)


def events(records: Sequence[dict]) -> Iterator[bytes]:
    """The content of a file's records: steps are frames trained on, times seconds since the training began."""
    yield b"\x09" + struct.pack("<d", 0.0) + field(3, VERSION)
    seconds = accumulate(record["seconds"] for record in records)
    steps = accumulate(record["frames"] for record in records)
    for record, second, step in zip(records, seconds, steps):
        name, rate = error_rate(record)
        yield event(second, int(step), {**{tag: record[key] for tag, key in SCALARS.items()}, f"{name}/dev": rate})


def write_events(folder, records: Sequence[dict]) -> Path:
    """Publishes the event file of one training in a folder of its own; what a longer training adds comes after the same bytes."""
    path = Path(folder) / FILE
    with publish(path, "wb") as file:
        file.writelines(map(tf_record, events(records)))
    return path
