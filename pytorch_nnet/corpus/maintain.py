"""Upkeep of data directories: fix, copy, subset, split (validate.py checks them).

After Kaldi's utils/fix_data_dir.sh, copy_data_dir.sh, subset_data_dir.sh and split_data.sh.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Container, Iterable, Iterator, Mapping

from ..io.archives import split_line
from ..io.errors import RecipeError, reading, require_file
from ..io.ids import check_id
from ..io.publish import publish, publish_folder
from .datadir import DataDir, check_apart, good_times, write_table
from .tables import EXTRAS

CUTS = "cuts.jsonl.gz"
FEATURE_CONFIG = "feature_config.yaml"  # the options that the features were made with
KEYED = {kind: [name for name, extra in EXTRAS.items() if extra.keyed == kind] for kind in ("utterance", "recording", "speaker")}
BY_UTTERANCE = ("text", "segments", "feats.scp", "utt2num_frames", *KEYED["utterance"])
BY_RECORDING = ("wav.scp", "reco2file_and_channel", "reco2speed", *KEYED["recording"])
BY_SPEAKER = ("cmvn.scp", *KEYED["speaker"])
# Files beside the tables that belong to a test set's scoring.
SCORING = ("stm", "glm")


def read_cut_lines(path) -> Iterator[tuple[str, str]]:
    """Yields (id, JSON line) of a Lhotse cut manifest, without Lhotse."""
    with reading(path, "cut manifest is damaged"), gzip.open(require_file(path), "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["id"], line


def filter_cuts(source, target, keep: Container[str]) -> None:
    """Publishes the cuts of `source` whose ids are in `keep`, in the same order; same content, same bytes."""
    write_cut_lines((line for utt, line in read_cut_lines(source) if utt in keep), target)


def merge_cuts(sources: Iterable, target) -> None:
    """Publishes the cuts of all sources in C order of their ids; same content, same bytes."""
    lines = sorted((pair for source in sources for pair in read_cut_lines(source)), key=lambda pair: pair[0].encode())
    write_cut_lines((line for _, line in lines), target)


def write_cut_lines(lines: Iterable[str], target) -> None:
    with publish(target, "wb") as packed, gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file:
        file.writelines(line.encode() for line in lines)


def read_raw(path: Path) -> dict[str, str]:
    """Reads 'key value' lines in any order into a table in C order; a value may be empty.

    Raises:
      RecipeError: one key with two values: no order of lines could say which is right.
    """
    table: dict[str, str] = {}
    with reading(path, "not a text file of UTF-8"):
        lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        key, value = split_line(line)
        check_id(key, file=f"{path}:{number}")
        if table.setdefault(key, value) != value:
            raise RecipeError("one id with two values", file=f"{path}:{number}", id=key, expected=table[key],
                              found=value,
                              next="remove the wrong line")
    return dict(sorted(table.items(), key=lambda item: item[0].encode()))


def fix_data_dir(path) -> dict[str, str]:
    """Sorts every table in C order, drops what is not in all of them, and rebuilds spk2utt.

    What a file held before is kept in .backup/. Returns the dropped utterances with the reason for each.
    Raises:
      RecipeError: an id with two values, or nothing left.
    """
    path = Path(path)
    if not path.is_dir():
        raise RecipeError("no such data directory", file=path)
    require_file(path / "utt2spk")
    tables = {name: read_raw(path / name) for name in ("utt2spk", *BY_UTTERANCE, *BY_RECORDING, *BY_SPEAKER)
              if (path / name).exists()}
    utt2spk = tables["utt2spk"]
    dropped = {utt: "empty in utt2spk" for utt, speaker in utt2spk.items() if not speaker}
    for name in BY_UTTERANCE:
        if name in tables:
            dropped |= dict.fromkeys(utt2spk.keys() - tables[name].keys(), f"not in {name}")
            dropped |= {utt: f"empty in {name}" for utt, value in tables[name].items() if not value}
            dropped |= dict.fromkeys(tables[name].keys() - utt2spk.keys(), "not in utt2spk")
            dropped |= {utt: f"bad value in {name}: {value[:40]}" for utt, value in tables[name].items() if value and not usable(name, value)}
    recording = {utt: value.split()[0] for utt, value in tables["segments"].items() if value} if "segments" in tables \
        else {utt: utt for utt in utt2spk}
    for name in BY_RECORDING:
        if name in tables:
            dropped |= {utt: f"recording {r} not in {name}" for utt, r in recording.items() if not tables[name].get(r)}
    for name in KEYED["speaker"]:
        if name in tables:
            dropped |= {utt: f"speaker {speaker} not in {name}" for utt, speaker in utt2spk.items() if not tables[name].get(speaker)}
    utts = [utt for utt in utt2spk if utt not in dropped]
    if not utts:
        reason = next(iter(sorted(dropped.items())))
        raise RecipeError("no utterance is in all tables", file=path, id=reason[0], expected="at least one",
                          found=reason[1])

    keep = {**dict.fromkeys(("utt2spk", *BY_UTTERANCE), frozenset(utts)),
            **dict.fromkeys(BY_RECORDING, frozenset(recording[utt] for utt in utts)),
            **dict.fromkeys(BY_SPEAKER, frozenset(utt2spk[utt] for utt in utts))}
    fixed = {name: {key: value for key, value in table.items() if key in keep[name]} for name, table in tables.items()}
    fixed["spk2utt"] = {s: " ".join(u) for s, u in DataDir(path, fixed["utt2spk"]).spk2utt.items()}
    for name, table in fixed.items():
        replace_table(path / name, table)
    if "cmvn.scp" in fixed and fixed["cmvn.scp"].keys() != keep["cmvn.scp"]:
        back_up(path / "cmvn.scp")
        (path / "cmvn.scp").unlink()  # statistics are missing for some speakers: all are computed again
    if (path / CUTS).exists():
        back_up(path / CUTS)
        filter_cuts(path / CUTS, path / CUTS, set(utts))
    return dict(sorted(dropped.items(), key=lambda item: item[0].encode()))


def usable(name: str, value: str) -> bool:
    """False for a value of an utterance's table that `DataDir.load` or `validate_data_dir` would refuse."""
    if name == "segments":
        try:
            _, start, end = value.split()
            return good_times(float(start), float(end))
        except ValueError:
            return False
    if name == "utt2num_frames":
        return bool(re.fullmatch("[0-9]{1,9}", value)) and int(value) > 0
    return name not in EXTRAS or EXTRAS[name].good(value)


def back_up(path: Path) -> None:
    """Copies a file into .backup/ beside it; what is there already stays: the next one is <name>.1, then <name>.2."""
    folder, number = path.parent / ".backup", 0
    folder.mkdir(exist_ok=True)
    while (place := folder / (f"{path.name}.{number}" if number else path.name)).exists():
        if place.read_bytes() == path.read_bytes():
            return
        number += 1
    shutil.copy2(path, place)


def replace_table(path: Path, table: Mapping[str, str]) -> None:
    """Writes a table over a file, unless it holds just that already; the older content goes to .backup/."""
    content = "".join(f"{key} {value}\n" for key, value in table.items())
    if path.exists():
        if path.read_bytes() == content.encode():
            return
        back_up(path)
    write_table(path, table)


def copy_data_dir(source, target) -> DataDir:
    """Publishes a copy without features, statistics and cuts, ready for other features; `target` is replaced."""
    data = DataDir.load(source)
    data.feats, data.cmvn, data.num_frames = {}, {}, {}
    return publish_data_dir(data, Path(source), target)


def publish_data_dir(data: DataDir, source: Path, target) -> DataDir:
    """Publishes `data` and the scoring files of `source` as the folder `target`; what was there is replaced."""
    check_apart(source, target)
    with publish_folder(target) as folder:
        data.write(folder)
        for name in SCORING:
            if (source / name).exists():
                shutil.copy2(source / name, folder / name)
        if data.feats and (source / CUTS).exists():
            filter_cuts(source / CUTS, folder / CUTS, data.utt2spk)
        if data.feats and (source / FEATURE_CONFIG).exists():
            shutil.copy2(source / FEATURE_CONFIG, folder / FEATURE_CONFIG)
    data.path = Path(target)
    return data


def subset_data_dir(source, count: int, target, *, shortest: bool = False, first: bool = False) -> DataDir:
    """Publishes `count` utterances as a new data directory; the features stay where they are.

    Args:
      shortest: the shortest ones, by utt2num_frames (for a monophone's flat start). first: the first ones.
        Neither: spread evenly over the list, which is over the speakers.
    """
    data = DataDir.load(source, need=("utt2num_frames",) if shortest else ())
    if not 0 < count <= len(data.utts):
        raise RecipeError("not that many utterances", file=source, expected=f"1 to {len(data.utts)}", found=count)
    if shortest:
        chosen = sorted(data.utts, key=lambda utt: (data.num_frames[utt], utt.encode()))[:count]
    elif first:
        chosen = data.utts[:count]
    else:
        chosen = [data.utts[k * len(data.utts) // count] for k in range(count)]
    return publish_data_dir(data.subset(chosen), Path(source), target)


def split_data_dir(path, jobs: int) -> Path:
    """Publishes `split<jobs>/1` .. `split<jobs>/<jobs>` in a data directory, speakers whole; returns the folder."""
    data = DataDir.load(path)
    target = data.path / f"split{jobs}"
    with publish_folder(target) as folder:
        for job, part in enumerate(data.split(jobs), 1):
            part.write(folder / str(job))
            if (data.path / CUTS).exists():
                filter_cuts(data.path / CUTS, folder / str(job) / CUTS, part.utt2spk)
            if (data.path / FEATURE_CONFIG).exists():
                shutil.copy2(data.path / FEATURE_CONFIG, folder / str(job) / FEATURE_CONFIG)
    return target
