# SPDX-License-Identifier: Apache-2.0
"""Write requirements/*.txt: every package's exact version and hashes. `make lock` calls it.

Pins that still fit stay as they are; --upgrade takes the newest. The locks name no package index: each
machine uses the one it is set up for.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# In this order: the later ones hold to the versions of the earlier.
LOCKS: dict[str, tuple[str, ...]] = {
    "run": ("pyproject.toml", "--extra", "services"),
    "build": ("requirements/build.in",),
    "dev": (
        *("pyproject.toml", "--extra", "services", "requirements/build.in", "--group", "dev"),
        *("--constraints", "requirements/run.txt", "--constraints", "requirements/build.txt"),
    ),
    "java": ("requirements/java.in",),
    "lock": ("requirements/lock.in",),
}
HOW = ("--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url")


def main() -> int:
    """Write every lock with the locker at its own locked version (scripts.install brings it)."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    upgrade = ("--upgrade",) if parser.parse_args().upgrade else ()
    uv = str(Path(sys.executable).parent / "uv")
    for name, sources in all_locks().items():
        print(f"[lock] requirements/{name}.txt", flush=True)
        command = (uv, "pip", "compile", *HOW, "--custom-compile-command", "make lock", *upgrade)
        run(*command, *sources, "--output-file", f"requirements/{name}.txt")
    return 0


def all_locks() -> dict[str, tuple[str, ...]]:
    """Return each lock and what it is made from; a .in file of its own makes a lock of its own."""
    own = {path.stem: (f"requirements/{path.name}",) for path in sorted((ROOT / "requirements").glob("*.in"))}
    return {**LOCKS, **{name: sources for name, sources in own.items() if name not in LOCKS}}


def run(*command: str) -> None:
    """Run a command in the project's root; raise if it fails."""
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
