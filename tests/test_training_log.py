"""train.jsonl for people: steps/plot, and TensorBoard's event files read back by a reader of our own and by TensorBoard's."""

import json
import struct

import pytest

from pytorch_nnet.training.records import changes, read_records
from pytorch_nnet.training.tensorboard import FILE, crc32c, varint, write_events

RECORDS = [{"epoch": n, "batches": 10, "frames": 50_000_000, "lr": rate, "train_loss": 2 / n, "valid_loss": 2.2 / n, "valid_fer": 0.8 / n,
            "seconds": 1.5, "event": event}
           for n, rate, event in ((1, 0.1, "best"), (2, 0.1, "best decay"), (3, 0.05, "decay rollback"))]


def train_log(folder, records=RECORDS):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


@pytest.mark.slow
def test_a_picture_of_several_networks(run, tmp_path):
    train_log(tmp_path / "exp/cnn")
    train_log(tmp_path / "exp/lstm", RECORDS[:1])
    for name, start in (("curves.png", b"\x89PNG"), ("curves.svg", b"<?xml")):
        contents = []
        for _ in range(2):
            done = run("steps/plot", "--names", "first,second", "exp/cnn", "exp/lstm", name)
            assert done.returncode == 0 and "first 3 epochs, second 1 epochs" in done.stderr, done.stderr
            contents.append((tmp_path / name).read_bytes())
        assert contents[0] == contents[1] and contents[0].startswith(start), "equal input, equal bytes"
    assert b"<image" not in contents[0] and len(contents[0]) > 10_000


@pytest.mark.parametrize("arguments, message", [
    (("exp/none", "x.png"), "no learning curve"), (("exp/bad", "x.png"), "not a training's log"), (("exp/cnn", "x.jpeg"), "unknown kind"),
    (("--names", "a,b", "exp/cnn", "x.png"), "as many names")])
def test_plot_refuses(run, tmp_path, arguments, message):
    train_log(tmp_path / "exp/cnn")
    train_log(tmp_path / "exp/bad", [{"epoch": 1}])
    done = run("steps/plot", *arguments)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("x.*"))


def test_records_of_no_training(tmp_path):
    assert read_records(tmp_path) == [] and changes([]) == []


def test_checksum_and_numbers():
    assert crc32c(b"123456789") == 0xE3069283, "the check value of CRC-32C in RFC 3720, B.4"
    assert crc32c(bytes(32)) == 0x8A9136AA and varint(0) == b"\0" and varint(300) == b"\xac\x02"


def fields(content):
    """(number, value) of a protocol buffer's fields."""
    place = 0

    def number():
        nonlocal place
        value = shift = 0
        while True:
            byte = content[place]
            value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
            if byte < 128:
                return value

    while place < len(content):
        key = number()
        size = {0: None, 1: 8, 5: 4, 2: -1}[key & 7]
        if size is None:
            yield key >> 3, number()
            continue
        size = number() if size < 0 else size
        yield key >> 3, content[place:place + size]
        place += size


def read_events(path):
    """[(seconds, step, {tag: value})] of an event file, checksums checked."""
    content, found = path.read_bytes(), []
    while content:
        length, = struct.unpack("<Q", content[:8])
        for part, stored in ((content[:8], content[8:12]), (content[12:12 + length], content[12 + length:16 + length])):
            crc, (masked,) = crc32c(part), struct.unpack("<I", stored)
            assert masked == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32
        event = dict(fields(content[12:12 + length]))
        values = [dict(fields(value)) for _, value in fields(event.get(5, b""))]
        found.append((struct.unpack("<d", event[1])[0], event.get(2), {value[1].decode(): struct.unpack("<f", value[2])[0] for value in values}))
        content = content[16 + length:]
    return found


def test_events_come_back(run, tmp_path):
    train_log(tmp_path / "exp/seed2/cnn")
    done = run("utils/train_log_to_tensorboard", "exp/seed2/cnn", "logs")
    path = tmp_path / "logs/exp/seed2/cnn" / FILE
    assert done.returncode == 0 and "3 epochs" in done.stderr, done.stderr
    first, *events = read_events(path)
    assert first == (0.0, None, {}) and b"brain.Event:2" in path.read_bytes()
    assert [(seconds, step) for seconds, step, _ in events] == [(1.5, 50_000_000), (3.0, 100_000_000), (4.5, 150_000_000)]
    assert events[2][2] == pytest.approx({"cross-entropy/training": 2 / 3, "cross-entropy/dev": 2.2 / 3, "FER/dev": 0.8 / 3, "learning rate": 0.05})


def test_a_longer_training_adds_to_the_same_bytes(tmp_path):
    short = write_events(tmp_path / "a", RECORDS[:2]).read_bytes()
    assert write_events(tmp_path / "a", RECORDS).read_bytes().startswith(short)


def test_tensorboard_reads_them(tmp_path):
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="TensorBoard is not installed")
    write_events(tmp_path, RECORDS)
    found = loader.EventAccumulator(str(tmp_path))
    found.Reload()
    assert sorted(found.Tags()["scalars"]) == ["FER/dev", "cross-entropy/dev", "cross-entropy/training", "learning rate"]
    scalars = found.Scalars("FER/dev")
    assert [one.step for one in scalars] == [50_000_000, 100_000_000, 150_000_000]
    assert [one.value for one in scalars] == pytest.approx([0.8, 0.4, 0.8 / 3])
