# SPDX-License-Identifier: Apache-2.0
"""Generated files: each generator writes its files, or with `--check` reports which are out of date."""

import sys
from collections.abc import Mapping
from pathlib import Path


def write_or_check(files: Mapping[Path, str | bytes], arguments: list[str]) -> int:
    """Write the files that differ, or with `--check` only name them. Returns the exit code."""
    wanted = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    differing = [path for path, content in wanted.items() if _content(path) != content]
    if "--check" in arguments:
        for path in differing:
            print(f"{path} is not what the code says: run this without --check", file=sys.stderr)
        return 1 if differing else 0
    for path in differing:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wanted[path])
    return 0


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
