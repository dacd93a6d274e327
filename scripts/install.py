# SPDX-License-Identifier: Apache-2.0
"""Bring .venv to what the locks say: `python -m scripts.install run|dev|lock`, for any Python from 3.11 on.

Standard library only, since nothing is installed when it starts. It does only what is not done yet, so that
every `make` target may call it first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scripts.front_end import FrontEnd, FrontEndError

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STATE = VENV / "taxistream.json"
OLDEST_JAVA = 17

# dev.txt holds run.txt and build.txt, so that one resolution covers everything a developer has. The sizes
# are what each lock adds to those, measured on Linux, x86-64.
COVERS = {
    "run": ("run",),
    "build": ("build",),
    "dev": ("run", "build", "dev"),
    "java": ("java",),
    "lock": ("lock",),
}
DOWNLOAD_MB = {"run": 66, "build": 59, "dev": 111, "java": 34, "lock": 18}
FRONT_END_MB = 90
LOCKS_FOR = {"run": ("run", "build"), "dev": ("dev",), "lock": ("lock",)}
"""Writing the locks does not need their packages, because a new dependency is not in them yet."""


REFUSED = {":": "Python makes no virtual environment there, for PATH is split at it"}
REFUSED_BY_WEB = dict.fromkeys("#?\\", "the page's bundler cannot be given it (TAXI_SKIP_WEB=1 goes without)")
SHELL_SIGNS = "\"'`$&;|<>()*?[]{}~!#\\"
PATH_LINE = "import os, sys; sys.path.append(os.path.dirname(sys.prefix))\n"
"""Puts the folder that .venv is in on the path."""
SHEBANG_BYTES_MAX = 127
"""The longest first line that Linux takes; others take more."""


class InstallError(Exception):
    """Something on this machine keeps us from going on; the message says what to do."""


@dataclass
class State:
    """What earlier runs installed into .venv: the digest of each lock, and of the project's own metadata."""

    root: str = str(ROOT)
    locks: dict[str, str] = field(default_factory=dict)
    project: str = ""

    @classmethod
    def read(cls) -> State:
        """Return the recorded state; an empty one if the environment is gone, moved or broken."""
        try:
            state = cls(**json.loads(STATE.read_text()))
        except (OSError, ValueError, TypeError):
            return cls()
        return state if state.root == str(ROOT) and PYTHON.exists() else cls()

    def write(self) -> None:
        """Record it; done after each step, so that an interrupted run goes on where it stopped."""
        STATE.write_text(json.dumps(asdict(self), indent=1) + "\n")


def main() -> int:
    """Install for running the demo (`run`), working on the code (`dev`) or writing the locks (`lock`)."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("purpose", choices=sorted(LOCKS_FOR))
    purpose = parser.parse_args().purpose
    try:
        if problem := unfit(ROOT, wants_web=purpose != "lock" and not skips_web()):
            raise InstallError(f"{problem}. Move this folder, or give it another name")
        install(purpose)
        name_no_path()
    except (InstallError, FrontEndError) as error:
        say(f"error: {error}")
        return 1
    return 0


def unfit(root: Path, *, wants_web: bool) -> str | None:
    """Say why the tools that live in this folder's .venv could not work, None if they can.

    Nearly all characters do. A program of .venv begins with the path of its Python: as it is, or, if it has
    blanks or is too long for the system, as a word of a shell command.
    """
    path = str(root)
    try:
        as_utf8 = os.fsencode(root).decode("utf-8")
    except UnicodeDecodeError as error:
        byte = os.fsencode(root)[error.start]
        return f"the path of this folder holds the byte 0x{byte:02X}, which is not UTF-8"
    if as_utf8 != path:
        return "this locale does not read the path of this folder as UTF-8 (set LC_ALL=C.UTF-8)"
    python = f"{path}/.venv/bin/python3"
    is_short = len(os.fsencode(f"#!{python}\n")) <= SHEBANG_BYTES_MAX
    shell = set() if " " not in path and is_short else set('"`$') if " " in path else set(SHELL_SIGNS)
    for sign in path:
        why = REFUSED.get(sign) or (wants_web and REFUSED_BY_WEB.get(sign))
        if sign in shell:
            why = "the programs in .venv could not start: a shell reads their first line"
        if not sign.isprintable():
            why = "it ends a line in the files of .venv"
        if why:
            return f"the path of this folder holds the character {sign!r}: {why}"
    return None


def name_no_path() -> None:
    """Replace our path in .venv by a line that finds it.

    Python reads such a file in the locale's encoding and without blanks at the end, so one accent in the path
    and LC_ALL=C would end every Python of .venv while it starts.
    """
    for file in VENV.glob("lib/*/site-packages/*.pth"):
        if file.read_bytes().rstrip(b"\n") == os.fsencode(ROOT):
            file.write_text(PATH_LINE, "ascii")


def skips_web() -> bool:
    """Whether the page shall not be built."""
    return os.environ.get("TAXI_SKIP_WEB") == "1"


def install(purpose: str) -> None:
    """Do what is missing, and say beforehand what will be downloaded."""
    state = State.read()
    locks = missing_locks(purpose, state)
    wants_project = purpose != "lock"
    web_is_due = wants_project and not skips_web() and not FrontEnd(ROOT).is_built()
    project_is_due = wants_project and state.project != project_digest()
    if not (locks or web_is_due or project_is_due):
        return
    started_s = time.monotonic()
    announce(locks, state, web_is_due=web_is_due)
    make_venv()
    for lock in locks:
        pip("install", "--require-hashes", "--no-deps", "-r", f"requirements/{lock}.txt")
        state.locks |= {name: digest_of_lock(name) for name in COVERS[lock]}
        state.write()
    if wants_project:
        build_front_end()
    if project_is_due:
        pip("install", "--no-deps", "--no-build-isolation", "--editable", ".")
        pip("check")
        state.project = project_digest()
        state.write()
    say(f"done in {time.monotonic() - started_s:.0f} s")


def missing_locks(purpose: str, state: State) -> list[str]:
    """Return the locks whose packages are not installed as they stand now."""
    wanted = list(LOCKS_FOR[purpose])
    if purpose != "lock" and ("java" in state.locks or not find_java()):
        wanted.append("java")
    return [
        lock for lock in wanted if any(state.locks.get(name) != digest_of_lock(name) for name in COVERS[lock])
    ]


def announce(locks: list[str], state: State, *, web_is_due: bool) -> None:
    """Say what comes next; the sizes are those of empty caches."""
    parts = []
    for lock in locks:
        new = [name for name in COVERS[lock] if state.locks.get(name) != digest_of_lock(name)]
        parts.append(f"{sum(DOWNLOAD_MB[name] for name in new)} MB of packages (requirements/{lock}.txt)")
    if web_is_due:
        parts.append(f"{FRONT_END_MB} MB of packages for the page (web/frontend/package-lock.json)")
    if parts:
        say("will download, unless cached, about " + " + ".join(parts))
    if "java" in locks:
        say(f"no Java {OLDEST_JAVA} or newer found: one comes as a Python package, for this project alone")


def make_venv() -> None:
    """Create .venv where there is none that works."""
    # A state file of ours that no longer holds means a moved folder: its programs name the old one.
    if PYTHON.exists() and not (STATE.exists() and State.read() == State()):
        return
    say(f"creating .venv with Python {sys.version.split()[0]}")
    try:
        venv.create(VENV, clear=True, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InstallError(f"cannot create {VENV}: {error}") from error


def build_front_end() -> None:
    """Build the page before pip would, which shows nothing of what a build prints."""
    if subprocess.run([PYTHON, ROOT / "scripts" / "front_end.py", "build"], check=False).returncode:
        raise InstallError("the page could not be built; the lines above say why")


def pip(command: str, *arguments: str) -> None:
    """Run the environment's pip; on a terminal with its own progress, else with errors only."""
    quiet = () if sys.stdout.isatty() else ("--quiet",)
    say(f"pip {command} {' '.join(arguments)}")
    base = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    # Relative paths: pip takes brackets at the end of a path for a list of extras.
    if subprocess.run([*base, command, *quiet, *arguments], cwd=ROOT, check=False).returncode:
        raise InstallError(
            f"pip {command} failed; its message is above. "
            "The first run needs a network; what was downloaded is kept for the next"
        )


def find_java() -> str | None:
    """Return a Java new enough for Kafka: JAVA_HOME's, else the one on PATH."""
    home = os.environ.get("JAVA_HOME")
    candidates = [shutil.which("java", path=f"{home}/bin") if home else None, shutil.which("java")]
    for java in filter(None, candidates):
        printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
        version = re.search(r'version "(\d+)', printed.stderr)
        if printed.returncode == 0 and version and int(version[1]) >= OLDEST_JAVA:
            return java
    return None


def digest_of_lock(name: str) -> str:
    """Return the hash of a lock file."""
    return hashlib.sha256((ROOT / "requirements" / f"{name}.txt").read_bytes()).hexdigest()


def project_digest() -> str:
    """Return a hash over what the installed project's metadata is made from."""
    return hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()


def say(line: str) -> None:
    """Print one line of progress."""
    print(f"[setup] {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
