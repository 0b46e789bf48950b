"""What an id may be: the name of an utterance, a speaker or a recording, and of a file and a channel in CTM.

An id stands in lines of tables and lists, is a key of archives and becomes the name of a file (a TextGrid, an entry of a lattice archive).
Kaldi takes any word. Here it must also stay in its line and in its folder, whatever program reads it: no white space, nothing that cannot
be seen, no '/', no beginning that makes it an option, a hidden file, a comment or one of our own marks. Letters of any language and
the shell's signs ($ ` ' " ; | & * ?) are taken as they are: no id is ever part of a command line.
"""

from __future__ import annotations

from .errors import RecipeError

MAX_BYTES = 150  # with a suffix and the prefix of a temporary file the name of a file has 255 at most
FIRST = {"-": "an option begins so", ".": "hidden files and '..' begin so", "#": "comments and our own marks begin so",
         ";": "NIST's comments begin so"}
RENAME = "name it otherwise in every table of the directory (sed), or leave it out"


def fault(id: str) -> str | None:
    """Why a string cannot be an id; None if it can."""
    if not id:
        return "nothing"
    if id[0] in FIRST:
        return f"'{id[0]}' at its beginning: {FIRST[id[0]]}"
    if "/" in id:
        return "'/', which would lead into another folder"
    if " " in id or not id.isprintable():
        odd = next(letter for letter in id if letter == " " or not letter.isprintable())
        return f"U+{ord(odd):04X}, white space or a sign that cannot be seen"
    if len(id) > MAX_BYTES // 4 and len(id.encode(errors="surrogatepass")) > MAX_BYTES:
        return f"{len(id.encode(errors='surrogatepass'))} bytes: names of files are made of it"
    return None


def check_id(id: str, *, file=None) -> str:
    """Returns an id; raises RecipeError if it cannot be one."""
    if reason := fault(id):
        raise RecipeError("not an id", file=file, id=ascii(id[:MAX_BYTES]), found=reason, next=RENAME,
                          expected=f"letters, digits and signs, at most {MAX_BYTES} bytes; no white space, no '/', no "
                                   + " ".join(FIRST) + " at the beginning")
    return id
