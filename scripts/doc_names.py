# SPDX-License-Identifier: Apache-2.0
"""Finds names between back-ticks, in pages, docstrings and comments, that the code does not have.

`python -m scripts.doc_names` prints each as `file:line name`; `--check` fails if there is one. A name that
was changed in the code and not in the text around it is found here.

Checked are names with a form that prose does not have: camel case, a capital, an underscore, a call; also
dotted names and paths of files. A dotted name is known if all of its parts are. Plain lower-case words and
anything with spaces are not checked.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from scripts.vocabulary import Source, sources, tracked

CODE: Final = (".py", ".ts", ".tsx", ".js", ".json", ".toml", ".yml", ".yaml", ".sh", ".css", ".html", ".cfg")
PATHS: Final = (".py", ".ts", ".tsx", ".md", ".json", ".toml", ".yml", ".css", ".html", ".sh")
"""A name that ends so is the path of a file, or the end of one."""
NOT_READ: Final = ("CHANGELOG.md", "THIRD_PARTY.md", "package-lock.json")
"""What was true once, and what is generated."""
NOT_OURS: Final = {
    "TAXI_PORT_8000_TCP_ADDR": "a variable that Kubernetes sets for a Service",
    "__consumer_offsets": "Kafka's topic of committed offsets",
    "decode_lines": "a method of msgspec's decoder",
    "dispatcher/policies/patient.py": "the file that a reader of docs/policies.md adds",
    "manhattan_network.json": "a file of NREL HIVE",
    "proxy_pass": "a directive of nginx",
    "queue.py": "an example of a file in a user's folder",
    "wait_for_function": "a method of Playwright",
}
"""Names that only prose mentions → what they are."""

_TICKS: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_FENCE: Final = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_TEXT_BLOCK: Final = re.compile(r'^[ \t]*r?"""(.*?)"""', re.MULTILINE | re.DOTALL)
"""A docstring, or the text below an attribute."""
_HASH_COMMENT: Final = re.compile(r"(?:^|(?<=  ))#(?!!)[^\n]*", re.MULTILINE)
_SLASH_COMMENT: Final = re.compile(r"/\*.*?\*/|(?<![:\"'])//[^\n]*", re.DOTALL)
_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_NAME: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_PATH: Final = re.compile(r"[\w./-]+")
_PATH_IN_CODE: Final = re.compile(r"[\w./-]*\.(?:py|ts|tsx|md|json|toml|yml|css|html|sh)\b")


def known_words(files: Iterable[Source]) -> set[str]:
    """Every word and path of the code, its strings included, without docstrings and comments."""
    words: set[str] = set()
    for source in files:
        text = source.text
        for pattern in _prose_of(source):
            text = pattern.sub(_blank, text)
        words.update(_WORD.findall(text))
        words.update(_PATH_IN_CODE.findall(text))
    return words


def unknown_names(files: Iterable[Source], words: set[str], paths: set[str]) -> list[str]:
    """`file:line name` for every name between back-ticks that is neither a word of the code nor a file."""
    return [
        f"{source.name}:{line} {name}"
        for source in files
        for line, name in quoted(source)
        if not is_known(name, words, paths)
    ]


def quoted(source: Source) -> Iterator[tuple[int, str]]:
    """(line, text) of what is between back-ticks in a page, or in the docstrings and comments of code."""
    texts = [(0, _FENCE.sub(_blank, _without_retired(source.text)))]
    if not source.name.endswith(".md"):
        texts = [
            (match.start(), match.group())
            for pattern in _prose_of(source)
            for match in pattern.finditer(source.text)
        ]
    for start, text in texts:
        for match in _TICKS.finditer(text):
            yield source.text.count("\n", 0, start + match.start()) + 1, match.group(1)


def is_known(name: str, words: set[str], paths: set[str]) -> bool:
    """Whether it has no form that is checked, or the code has it."""
    if name in NOT_OURS or name.startswith("NAME."):
        return True
    if name.endswith(PATHS) and _PATH.fullmatch(name):
        return name in words or any(("/" + path).endswith("/" + name) for path in paths)
    called = re.fullmatch(r"([\w.]+)\([^()]*\)", name)
    bare = called.group(1) if called else name
    if not _NAME.fullmatch(bare):
        return True
    first, *others = bare.split(".")
    if not (called or "_" in bare.strip("_") or re.search(r"^[A-Z]\w*[a-z]|\.[A-Z]\w*[a-z]", bare)):
        return True
    if others and first not in words and first == first.lower():
        return True  # of another library or system
    return all(_is_word(part, words) for part in (first, *others))


def _is_word(name: str, words: set[str]) -> bool:
    """Whether the code has it: as it is, as a setting (in lower case), or composed, as `map_` and a word."""
    if name in words or name in NOT_OURS or (name.lower() in words and name.isupper()):
        return True
    head, _, tail = name.partition("_")
    return bool(tail) and f"{head}_" in words and tail in words


def _prose_of(source: Source) -> tuple[re.Pattern[str], ...]:
    if source.name.endswith(".py"):
        return _TEXT_BLOCK, _HASH_COMMENT
    return (_SLASH_COMMENT,) if source.name.endswith((".ts", ".tsx", ".js")) else ()


def _without_retired(page: str) -> str:
    """A page without the glossary's table of words that are no longer used."""
    return page.partition("\n## Retired\n")[0]


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def main() -> int:
    """Print what was found; with `--check` fail if anything was."""
    code = [source for source in sources(*CODE) if not source.name.endswith(NOT_READ)]
    pages = [source for source in sources(".md") if not source.name.endswith(NOT_READ)]
    paths = set(tracked())
    found = unknown_names([*pages, *code], known_words(code), paths)
    print("\n".join(found))
    return 1 if found and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
