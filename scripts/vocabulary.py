# SPDX-License-Identifier: Apache-2.0
"""Measures the language of the repository: names with two meanings, retired words, docstrings, prose.

`python -m scripts.vocabulary` prints a table, `--json` the same for programs, `--names` every public class
name that more than one room defines, `--identifiers` what `--check` fails for: retired words in
identifiers, and public class names with more than one meaning. The retired words are
those of docs/glossary.md, so the page and the check cannot differ.
"""

import ast
import io
import json
import re
import statistics
import subprocess
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
GLOSSARY: Final = ROOT / "docs" / "glossary.md"
NOT_PRODUCT: Final = ("tests/", "bench/", "scripts/", "examples/", "testing/")
OLD_WORDS: Final = ("whoever", "anew", "told", "nobody", "stands")
"""Words of an older style of this repository that a reader has to learn first; counted in prose."""
ONE_MEANING: Final = {
    "Fault": "a fault of a service, in the service and as a client receives it",
    "Settings": "the settings of a program; each service has its own",
}
"""Public class names that several modules may define, because they mean the same there."""
_WORD: Final = re.compile(r"[A-Za-z]+")
_PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


@dataclass(frozen=True)
class Source:
    """A tracked file."""

    name: str
    text: str

    @property
    def room(self) -> str:
        """Its package: the folder that it is in."""
        return str(Path(self.name).parent)


def tracked() -> list[str]:
    """The names of all tracked files that are there."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def sources(*endings: str) -> list[Source]:
    """All tracked files with these endings."""
    names = [name for name in tracked() if name.endswith(endings)]
    return [Source(name, (ROOT / name).read_text(encoding="utf-8")) for name in names]


def retired_words() -> dict[str, str]:
    """Retired word → what is said instead, from the glossary's last table. Empty without a glossary."""
    if not GLOSSARY.exists():
        return {}
    table = GLOSSARY.read_text(encoding="utf-8").partition("## Retired")[2]
    rows = re.findall(r"^\| `([a-z_]+)` \| (.+?) \|", table, re.MULTILINE)
    return dict(rows)


def shared_names(files: list[Source]) -> dict[str, list[str]]:
    """Public class name → the modules that define one, if there is more than one."""
    rooms: defaultdict[str, set[str]] = defaultdict(set)
    for source in files:
        for node in ast.parse(source.text).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                rooms[node.name].add(source.name)
    return {name: sorted(places) for name, places in sorted(rooms.items()) if len(places) > 1}


def product(files: list[Source]) -> list[Source]:
    """Those of the Python files that are installed."""
    return [s for s in files if s.name.endswith(".py") and not s.name.startswith(NOT_PRODUCT)]


def ambiguous_names(files: list[Source]) -> list[str]:
    """`name: modules` for every public class name of the product with more than one meaning."""
    found = shared_names(product(files))
    return [f"{name}: {', '.join(places)}" for name, places in found.items() if name not in ONE_MEANING]


def identifiers(source: Source) -> Iterator[tuple[int, str]]:
    """(line, identifier) of a Python or TypeScript file; strings and comments left out."""
    if source.name.endswith(".py"):
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
            if token.type == tokenize.NAME:
                yield token.start[0], token.string
        return
    bare = re.sub(r"/\*.*?\*/|//[^\n]*|`[^`]*`|\"[^\"\n]*\"|'[^'\n]*'", _blank, source.text, flags=re.DOTALL)
    for number, line in enumerate(bare.splitlines(), 1):
        for name in re.findall(r"[A-Za-z_]\w*", line):
            yield number, name


def retired_identifiers(files: list[Source]) -> list[str]:
    """`file:line name` for every identifier that holds a retired word."""
    retired = set(retired_words())
    return [
        f"{source.name}:{line} {name}"
        for source in files
        for line, name in identifiers(source)
        if {part.lower() for part in _PART.findall(name)} & retired or name.lower().strip("_") in retired
    ]


def prose(files: list[Source]) -> list[str]:
    """The words of pages, docstrings and comments, in lower case."""
    words: list[str] = []
    for source in files:
        texts = [source.text] if source.name.endswith(".md") else _comments(source)
        for text in texts:
            words += [word.lower() for word in _WORD.findall(text)]
    return words


def docstrings(files: list[Source]) -> list[str]:
    """All of Python's."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        text
        for source in files
        for node in ast.walk(ast.parse(source.text))
        if isinstance(node, kinds) and (text := ast.get_docstring(node))
    ]


def measure() -> dict[str, float | int]:
    """Name of a count → its value."""
    python = sources(".py")
    installed = product(python)
    words = prose([*sources(".md"), *python])
    counts, texts = Counter(words), docstrings(installed)
    subjects = subprocess.run(
        ["git", "log", "-100", "--format=%s"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {
        "public class names with two meanings": len(ambiguous_names(python)),
        "identifiers with a retired word": len(retired_identifiers([*python, *sources(".ts", ".tsx")])),
        "old words per 10,000 of prose": round(
            10_000 * sum(counts[word] for word in OLD_WORDS) / max(len(words), 1), 1
        ),
        "'because' per 10,000 of prose": round(10_000 * counts["because"] / max(len(words), 1), 1),
        "docstrings": len(texts),
        "docstrings with Args, Returns or Raises": sum(
            bool(re.search(r"^\s*(Args|Returns|Raises):", text, re.MULTILINE)) for text in texts
        ),
        "median characters of the last 100 commit subjects": statistics.median(map(len, subjects)),
    }


def _comments(source: Source) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(source.text).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return [*comments, *docstrings([source])]


def _blank(match: "re.Match[str]") -> str:
    return re.sub(r"[^\n]", " ", match.group())


def main() -> int:
    """Print what was asked for; with `--check` fail for what `--identifiers` prints."""
    arguments = sys.argv[1:]
    every = sources(".py", ".ts", ".tsx")
    if "--check" in arguments or "--identifiers" in arguments:
        left = retired_identifiers(every) + ambiguous_names(every)
        print("\n".join(left))
        return 1 if left and "--check" in arguments else 0
    if "--names" in arguments:
        for name, places in shared_names(product(every)).items():
            print(f"{name:<24} {', '.join(places)}")
        return 0
    counts = measure()
    if "--json" in arguments:
        print(json.dumps(counts, indent=1))
    else:
        for name, value in counts.items():
            print(f"{value:>8}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
