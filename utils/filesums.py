"""What the files of a marked folder were when their command ended, and whether they still are: CRC-32 and size of each, kept in the markers.

A folder's files are those in it and below it, but for logs, checkpoints, hidden files, links, and folders below it that have markers of
their own. Formats such as Kaldi's carry no checksum; this finds damage in all of them before a command reads them. Standard library only.
"""

import json
import os
import zlib

CHUNK = 1 << 20
NOT_KEPT = ("log", "checkpoint")  # the first may grow, the second checks itself
KEY = "files"


def is_marker(name):
    return name == ".done" or name.startswith(".done.")


def files(folder):
    """{name below the folder: os.stat_result} of the files that are the folder's own."""
    found = {}
    for place, folders, names in os.walk(folder):
        if place != folder and any(name.startswith((".done", ".started")) for name in names):
            folders.clear()
            continue
        folders[:] = [name for name in folders if name not in NOT_KEPT and not name.startswith(".")]
        for name in names:
            path = os.path.join(place, name)
            if not name.startswith(".") and os.path.isfile(path) and not os.path.islink(path):
                found[os.path.relpath(path, folder)] = os.stat(path)
    return found


def stamps(folder):
    """What changes when a file is written again."""
    return {name: (status.st_mtime_ns, status.st_size, status.st_ino) for name, status in files(folder).items()}


def summed(path):
    """[size, CRC-32] of a file."""
    size = crc = 0
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            size, crc = size + len(chunk), zlib.crc32(chunk, crc)
    return [size, f"{crc:08x}"]


def sums(folder, before=None):
    """{name: [size, CRC-32]} of the folder's files; with `before`, earlier `stamps`, only of those written since."""
    now = stamps(folder)
    return {name: summed(os.path.join(folder, name)) for name in sorted(now) if before is None or before.get(name) != now[name]}


def read_marker(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def recorded(folder):
    """{name: (what it was, the marker that says so)}, of several markers the one written last."""
    paths = [os.path.join(folder, name) for name in os.listdir(folder) if is_marker(name)]
    found = {}
    for path in sorted(paths, key=lambda path: os.stat(path).st_mtime_ns):
        found.update({name: (value, path) for name, value in read_marker(path).get(KEY, {}).items()})
    return found


def damage(path):
    """Yields (file, what it was, what it is, marker) of files that changed: of a folder with markers, or of one file in such a folder."""
    folder, only = path, None
    if not os.path.isdir(path):
        folder, only = os.path.dirname(path) or ".", os.path.basename(path)
    for name, (was, marker) in sorted(recorded(folder).items()) if os.path.isdir(folder) else ():
        if only in (None, name):
            file = os.path.join(folder, name)
            found = [os.path.getsize(file)] if os.path.isfile(file) else ["no such file"]
            if found[0] == was[0]:
                found = summed(file)
            if found != was:
                yield file, was, found, marker


def report(file, was, found, marker):
    """Lines that name a changed file and say what to do."""
    shown = [f"{value[0]} bytes, CRC-32 {value[1]}" if len(value) > 1 else f"{value[0]} bytes" if value[0] != "no such file" else value[0]
             for value in (was, found)]
    script = os.environ.get("STAGE_SCRIPT", "./run.sh")
    return (f"a file is not what it was when its command ended: it is damaged, or has been changed\n  file:     {file}\n"
            f"  expected: {shown[0]} ({marker})\n  found:    {shown[1]}\n"
            f"  next:     rm {marker} && {script}, which makes it again; or, to keep the change: utils/check_files --accept "
            f"{os.path.dirname(marker)}")
