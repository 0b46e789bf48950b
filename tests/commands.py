"""Commands in documents and usages: found, taken apart, and checked against the programs that they call."""

import ast
import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "egs/switchboard"  # where documents stand, unless they say otherwise: steps, utils and local are links there
RECIPES = sorted(path.parent for path in ROOT.glob("egs/*/run.sh") if "." not in path.parent.name)
PLACES = ("steps", "utils", "local", "benchmarks", "tests", *(f"egs/{recipe.name}{sub}" for recipe in RECIPES for sub in ("", "/local")))
# Programs of the system that documents use, and words of the shell.
FOREIGN = {"cd", "cp", "export", "git", "grep", "torchrun", "pip", "pre-commit", "source", "tensorboard", "."}


@dataclass(frozen=True)
class Block:
    """Lines of code in a document. kind: 'shell' or 'python'."""

    place: str  # document:line
    kind: str
    text: str


def tracked(*patterns: str) -> list[str]:
    return subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def programs() -> list[str]:
    """Every executable a user may call, relative to the repository."""
    rows = subprocess.run(["git", "ls-files", "-s", *PLACES], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    names = [row.split("\t")[1] for row in rows if row.startswith("100755")]
    return [name for name in names if str(Path(name).parent) in PLACES]


def blocks(document: str) -> list[Block]:
    """Fenced blocks of shell or Python, and indented ones. Fences of another kind, ```text, are no code."""
    found, lines, kind, start = [], [], "", 0
    before = ""
    for number, line in enumerate([*(ROOT / document).read_text().splitlines(), ""], 1):
        fence = re.match(r"```(\w*)", line)
        if kind.startswith("fence"):
            if fence:
                if kind != "fence text":
                    found.append(Block(f"{document}:{start}", kind.split()[1], "\n".join(lines)))
                kind, lines = "", []
            else:
                lines.append(line)
        elif fence:
            word = {"": "shell", "sh": "shell", "bash": "shell", "python": "python"}.get(fence[1], "text")
            kind, start, lines = f"fence {word}", number, []
        elif kind == "indented" and (line.startswith("    ") or not line):
            lines.append(line[4:])
        elif not kind and line.startswith("    ") and not before:
            kind, start, lines = "indented", number, [line[4:]]
        elif kind == "indented":
            found.append(indented(f"{document}:{start}", lines))
            kind = ""
        before = line
    if kind == "indented":
        found.append(indented(f"{document}:{start}", lines))
    return found


def indented(place: str, lines: list[str]) -> Block:
    text = "\n".join(lines).strip("\n")
    return Block(place, "python" if re.match(r"(from|import) ", text) else "shell", text)


def commands(text: str) -> list[list[str]]:
    """The words of every simple command of some lines of shell; loops count by what is in them."""
    found = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = re.sub(r"<([\w. -]+)>", lambda match: match[1].replace(" ", "_"), line)  # a placeholder
        line = re.sub(r"\[(--[\w-]+)\]", r"\1", line)  # an option that may be left out
        line = re.sub(r"\$\([^)]*\)", "1", line)
        line = re.sub(r"\$\{?(\w+|\$)\}?", r"\1", line)  # what a variable holds is some word
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in ("|", "||", "&&", ";", "&"):
                if words[-1:] not in (["<"], [">"]):
                    words.append(word)
                else:
                    words.pop()
                continue
            while words and words[0] in ("do", "then", "else", "if", "!"):
                words.pop(0)
            if words and re.fullmatch(r"\w+=.*", words[0]):  # only a variable that holds a program says something to check
                value = shlex.split(words[0].partition("=")[2])
                words = [*value, "..."] if len(value) > 1 and "/" in value[0] else []
            if words and words[0] not in ("for", "while", "done", "fi"):
                found.append(words)
            words = []
    return found


def check(words: list[str], where: Path = RECIPE) -> str:
    """Checks one command: its program exists, its options are known and convertible, the number of arguments is right.

    Args:
      where: folder from which the command is called.
    Returns:
      The program, relative to the repository; empty for one of the system.
    """
    if words[0] == "torchrun":
        words = words[next(index for index, word in enumerate(words) if resolve(word, where)):]
    if words[0] in FOREIGN:
        return ""
    path = resolve(words[0], where)
    assert path, f"no such program: {words[0]}"
    open_end = words[-1] == "..."
    arguments = [word for word in words[1:] if word != "..."]
    with contextlib.chdir(where):
        (check_python if python(path) else check_usage)(path, arguments, open_end)
    return str(path.relative_to(ROOT))


def resolve(word: str, where: Path = RECIPE) -> Path | None:
    """The executable that a word names."""
    word = {"pytorch-nnet": "utils/pytorch-nnet", "run.sh": "./run.sh"}.get(word, word)
    if "/" not in word:
        return None
    for folder in (where, RECIPE, *RECIPES, ROOT):
        if os.access(folder / word, os.X_OK) and (folder / word).is_file():
            return (folder / word).resolve()
    return None


def python(path: Path) -> bool:
    """Whether the program hands its arguments to pytorch_nnet.io.options.parse."""
    text = path.read_text()
    return text.startswith("#!/usr/bin/env python3") and (bool(re.search(r"(?<!\.)\bparse\(", text)) or "recognition.cli" in text)


class Parsed(Exception):
    pass


def check_python(path: Path, arguments: list[str], open_end: bool) -> None:
    """Runs the program's `main` up to the point where its options are read."""
    main = runpy.run_path(str(path))["main"]
    real = main.__globals__["parse"]

    def parse(cls, argv, usage, nargs=None, **keywords):
        real(cls, argv, usage, None if open_end else nargs, **keywords)
        raise Parsed

    main.__globals__["parse"] = parse
    try:
        main(list(arguments))
    except Parsed:
        return
    except SystemExit as end:
        assert end.code in (0, None) and "--help" in arguments
        return
    finally:
        main.__globals__["parse"] = real
    raise AssertionError("the program did not read its options")


def check_usage(path: Path, arguments: list[str], open_end: bool) -> None:
    """For programs that read their arguments themselves: options as the usage has them, the arguments that it names."""
    if "[options of its run.sh]" in usage_of(path) and arguments:
        return check_usage(ROOT / "egs" / arguments[0] / "run.sh", arguments[1:], open_end)
    known, (least, most) = options_of(path), counts_of(path)
    positional, queue = [], list(arguments)
    if "--" in queue or any(re.fullmatch(r"\w+=\S+", word) for word in queue):  # what follows is another program's
        return
    while queue:
        word = queue.pop(0)
        if not word.startswith("--"):
            positional.append(word)
            continue
        name = word.partition("=")[0]
        assert name in known, f"{path.name} has no option {name}: {sorted(known)}"
        if "=" not in word and queue and not queue[0].startswith("--") and (not known[name] or queue[0] in ("true", "false")):
            queue.pop(0)
    if not open_end and "--help" not in arguments:
        assert least <= len(positional) <= most, f"{path.name} takes {least} to {most} arguments, not {positional}"


def options_of(path: Path) -> dict[str, bool]:
    """{--name: whether it is a flag}: of a shell script the variables that its options set, else what the usage names."""
    text = path.read_text()
    found = {"--help": True, "--config": False}
    if parsed := re.search(r"parse_options\.sh|experiment\.sh", text):  # the latter has options of its own and sources the former
        head = text[:parsed.start()]
        if parsed[0].startswith("experiment"):
            head += (ROOT / "steps/experiment.sh").read_text().partition("\nhelp_message")[0]
        for line in re.findall(r"(?m)^([a-z_0-9]+=.*)$", head):
            for name, value in re.findall(r"(?:^|\s)([a-z_0-9]+)=(\S*)", line.partition("#")[0]):
                found["--" + name.replace("_", "-")] = value in ("true", "false")
        return found
    for name, value in re.findall(r"(--[a-z][a-z-]+)(?:[ =]([A-Z]+|<[\w-]+>))?", usage_of(path)):
        found[name] = not value and found.get(name, True)
    return found


def counts_of(path: Path) -> tuple[int, float]:
    """How many arguments the usage's first line asks for, at least and at most."""
    line = re.search(r"Usage: *(?:[^|\n]* \| )?(\S+)([^\n]*)", usage_of(path))
    assert line, f"{path} has no usage"
    rest = re.sub(r"\s{2,}[(#].*", "", line[2])
    needed = re.sub(r"\[.*\]", "", rest)
    least = len(re.findall(r"(?<!\S)(?:<[\w|-]+>|[a-z]+)(?!\S)", re.sub(r"--\S+ <[\w-]+>", "", needed)))
    more = "..." in rest or re.search(r"\[(?!--|options)", rest)
    return least, float("inf") if more else least


def usage_of(path: Path) -> str:
    """The help that the program prints, from its source: its docstring, help_message or the comment at its top."""
    text = path.read_text()
    if path.suffix == ".py" or text.startswith("#!/usr/bin/env python3"):
        return ast.get_docstring(ast.parse(text)) or ""
    if found := re.search(r'help_message="((?:[^"\\]|\\.)*)"', text):
        return found[1]
    return "\n".join(line[1:].strip() if line.startswith("#") else "" for line in text.splitlines()[1:20])


def help_of(path: Path) -> str:
    """What the program prints at --help: a Python one in this process, which is much faster."""
    if path.read_text().startswith("#!/usr/bin/env python3"):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.chdir(ROOT):
            for folder in (path.parent, ROOT):
                if str(folder) not in sys.path:
                    sys.path.append(str(folder))
            try:
                code = runpy.run_path(str(path))["main"](["--help"])
            except SystemExit as end:
                code = end.code
        assert not code, f"{path} --help ends with {code}"
        return out.getvalue()
    done = subprocess.run([str(path), "--help"], cwd=RECIPE, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def examples(text: str) -> list[str]:
    """What stands behind 'e.g.:', to the first line that is not of it."""
    found = []
    for match in re.finditer(r"(?m)^( *)e\.g\.: (.*\n(?:\1 {6}.*\n)*)", text + "\n"):
        lines = match[2].splitlines()
        found.append("\n".join(line.strip() for line in lines))
    return found
