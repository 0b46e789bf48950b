"""Ways in which a file goes wrong: on the disk, in an editor, on another system, or on purpose. Each takes bytes and a random.Random."""

import gzip
import io
import random
import re
import zipfile

NUMBERS = [b"nan", b"inf", b"-inf", b"-1", b"0", b"-0.0", b"1e99", b"1e400", b"1e-300", b"2147483648", b"99999999999999999999", b"9" * 5000, b"0x10",
           b"1_000", b"+5", b"3.5", "٣".encode(), b"", b"1e5", b"-", b"."]
FIELDS = [b"../x", b"/etc/passwd", b"-rf", b"$(touch sprung)", b"`touch sprung`", b"touch sprung |", b"|touch sprung", b"a/b", b".", b"#0", b"#1", b"<eps>",
          b"<s>", b"</s>", b"<unk>", b";;", b"'", b'"', b"\\", b"%s%n", b"[", b"]", b"{", b"}", b"(", b")", b"[[", b"{a/b", b"*", b"&amp;", b"\x00",
          "é".encode(), "é".encode("latin-1"), "\u00a0".encode(), "\u2028".encode(), "\u202e".encode(), b"\xed\xb2\x80", b"A" * 300, b"x"]
BLANKS = [b"\t", b"  ", "\u00a0".encode(), b"\x0b", b"\x0c", b"\x85", "\u2028".encode(), "\u3000".encode(), b"\r", b"\x1c", b"\x00", b""]
WORDS = [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\x00\x00\x00\x00", b"\x01\x00\x00\x00", b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f",
         b"\x00\x00\x00\x10", b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x04\xff\xff\xff\x7f", b"\x04\xff\xff\xff\xff", b"\x04\x00\x00\x00\x00"]


def place(content: bytes, draw: random.Random) -> int:
    """Somewhere in a file; half of the time near its beginning, where headers are."""
    return draw.randrange(min(len(content), 64) if draw.random() < 0.5 else len(content)) if content else 0


def flip(content, draw):
    at = place(content, draw)
    return content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1:] if content else b"\x01"


def random_byte(content, draw):
    at = place(content, draw)
    return content[:at] + bytes([draw.randrange(256)]) + content[at + 1:]


def cut(content, draw):
    return content[:place(content, draw)]


def cut_a_little(content, draw):
    return content[:max(len(content) - draw.randrange(1, 9), 0)]


def lose(content, draw):
    at = place(content, draw)
    return content[:at] + content[at + draw.randrange(1, 20):]


def repeat(content, draw):
    at = place(content, draw)
    return content[:at] + content[at:at + draw.randrange(1, 40)] * draw.choice((2, 2, 3, 50)) + content[at:]


def noise(content, draw):
    at = place(content, draw)
    return content[:at] + draw.randbytes(draw.randrange(1, 30)) + content[at:]


def word(content, draw):
    """A number of a binary file, replaced by an extreme one."""
    at, new = place(content, draw), draw.choice(WORDS)
    return content[:at] + new + content[at + len(new):]


def more(content, draw):
    return content + draw.choice((content, b"\x00", b"\n", b"\n\n", b"x", b"\x1a", content[:50]))


def no_end(content, draw):
    return content.rstrip(b"\n")


def nothing(content, draw):
    return draw.choice((b"", b"\n", b" ", b"\x00", b"\xef\xbb\xbf", b"\xff\xfe"))


def nul(content, draw):
    return content.replace(draw.choice((b" ", b"\n", b"e")), b"\x00", draw.choice((1, -1)))


def crlf(content, draw):
    return content.replace(b"\n", draw.choice((b"\r\n", b"\r", b"\n\r")), draw.choice((1, -1)))


def latin1(content, draw):
    at = place(content, draw)
    return content[:at] + draw.choice((b"\xe9", b"\xfc\xdf", b"\xa0", b"\x85", b"\xef\xbb\xbf")) + content[at:]


def lines(change):
    """A way to change the list of lines, kept with their ends."""
    def mutated(content, draw):
        parts = content.splitlines(keepends=True) or [b"\n"]
        change(parts, draw.randrange(len(parts)), draw)
        return b"".join(parts)

    return mutated


def fields(change):
    """A way to change the list of fields of one line, white space included (fields are at even places)."""
    def on_line(parts, at, draw):
        body = parts[at].rstrip(b"\r\n")
        split = re.split(rb"([ \t=:,]+)", body)
        change(split, 2 * draw.randrange((len(split) + 1) // 2), draw)
        parts[at] = b"".join(split) + parts[at][len(body):]

    return lines(on_line)


@lines
def swap_lines(parts, at, draw):
    other = draw.randrange(len(parts))
    parts[at], parts[other] = parts[other], parts[at]


@lines
def double_line(parts, at, draw):
    parts.insert(draw.choice((at, draw.randrange(len(parts)))), parts[at])


@lines
def double_key(parts, at, draw):
    parts.insert(at + 1, parts[at].split(b" ")[0] + b" " + parts[draw.randrange(len(parts))].partition(b" ")[2])


@lines
def lose_line(parts, at, draw):
    del parts[at]


@lines
def blank_line(parts, at, draw):
    parts[at] = draw.choice((b"\n", b"   \n", b"\t\n"))


@lines
def new_blank_line(parts, at, draw):
    parts.insert(at, draw.choice((b"\n", b" \n")))


@lines
def shuffle(parts, at, draw):
    draw.shuffle(parts)


@lines
def reverse(parts, at, draw):
    parts.reverse()


@lines
def long_line(parts, at, draw):
    parts[at] = parts[at].rstrip(b"\n") + draw.choice((b"x", b" x", b" 1", b"[", b"(", b" \t", b"{a/")) * draw.choice((1000, 50000)) + b"\n"


@lines
def many_lines(parts, at, draw):
    parts[at:at] = [parts[at]] * min(2000, (1 << 20) // len(parts[at]) + 1)


@fields
def lose_field(split, at, draw):
    split[at:at + 2] = []


@fields
def add_field(split, at, draw):
    split.insert(at, draw.choice(FIELDS + NUMBERS) + b" ")


@fields
def other_field(split, at, draw):
    split[at] = draw.choice(FIELDS)


@fields
def other_number(split, at, draw):
    numbers = [place for place in range(0, len(split), 2) if re.fullmatch(rb"[-+]?[\d.]+(e[-+]?\d+)?", split[place])]
    split[draw.choice(numbers or [at])] = draw.choice(NUMBERS)


@fields
def swap_fields(split, at, draw):
    other = 2 * draw.randrange((len(split) + 1) // 2)
    split[at], split[other] = split[other], split[at]


@fields
def copy_field(split, at, draw):
    split[at] = split[2 * draw.randrange((len(split) + 1) // 2)]


@fields
def other_blank(split, at, draw):
    if at + 1 < len(split):
        split[at + 1] = draw.choice(BLANKS)


BYTES = [flip, random_byte, cut, cut_a_little, lose, repeat, noise, word, word, more]
TEXT = [no_end, nothing, nul, crlf, latin1, swap_lines, double_line, double_key, lose_line, blank_line, new_blank_line, shuffle, reverse, long_line, many_lines,
        lose_field, add_field, other_field, other_field, other_number, other_number, other_number, swap_fields, copy_field, other_blank]


def members(content: bytes, draw: random.Random) -> bytes:
    """A zip file with one of its members changed, and checksums that say that all is well."""
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    changed = draw.choice(sorted(parts))
    parts[changed] = mutate(parts[changed], draw)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as new:
        for name, part in parts.items():
            new.writestr(zipfile.ZipInfo(name), part)
    return made.getvalue()


def mutate(content: bytes, draw: random.Random) -> bytes:
    """One to four faults, of the kinds that fit: lines and fields for text, bytes for anything."""
    if content[:2] == b"\x1f\x8b" and draw.random() < 0.8:
        return gzip.compress(mutate(gzip.decompress(content), draw), 1, mtime=0)
    if content[:4] == b"PK\x03\x04" and draw.random() < 0.6:
        return members(content, draw)
    text = b"\x00" not in content[:4096]
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        content = draw.choice(TEXT if draw.random() < (0.75 if text else 0.1) else BYTES)(content, draw)
    return content
