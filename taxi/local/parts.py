# SPDX-License-Identifier: Apache-2.0
"""`parts.json`: which parts a demo runs, for `taxi ps`, `taxi kill` and the page's kill button."""

import os
import signal
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
import psutil

from taxi.local.errors import FAILED, WRONG_USE, LocalError

_CREATED_S_OFF: Final = 2.0
"""A process's birth is computed from the system's boot time, which moves when the clock is set."""


class State(StrEnum):
    """Where a part is in its life."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    STOPPED = "stopped"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a demo."""

    name: str
    pid: int
    """Its last one; 0 where there is none."""
    created: float
    """When the process was born (epoch seconds), so that another one with its pid is not taken for it."""
    port: int | None
    """Where it serves others, None where it does not."""
    admin_port: int | None
    state: State
    restarts: int

    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        return is_alive(self.pid, self.created)

    def kill(self) -> bool:
        """SIGKILL, if it is still that process."""
        alive = self.is_alive()
        if alive:
            os.kill(self.pid, signal.SIGKILL)
        return alive


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """The supervisor itself."""

    pid: int
    created: float
    started_ms: int
    url: str
    """Empty where no page is served."""
    bootstrap_servers: str


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    demo: Demo
    parts: list[Part]


def path(data_dir: Path) -> Path:
    """Where the file is."""
    return data_dir / "parts.json"


def read(data_dir: Path) -> Parts | None:
    """What the file says; None where there is none (no demo ever ran, or it ended in order)."""
    try:
        return msgspec.json.decode(path(data_dir).read_bytes(), type=Parts)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise LocalError(
            f"{path(data_dir)} is not readable: {error}.", do="Delete it; a running demo writes it anew."
        ) from error


def write(data_dir: Path, parts: Parts) -> None:
    """Replace the file at once: no reader sees half of it."""
    new = path(data_dir).with_suffix(".new")
    new.write_bytes(msgspec.json.format(msgspec.json.encode(parts), indent=2) + b"\n")
    new.replace(path(data_dir))


def born(pid: int) -> float:
    """When a process was born, epoch seconds. 0 when it is gone already."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def is_alive(pid: int, created: float) -> bool:
    """Whether that very process still runs."""
    if not pid:
        return False
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - created) < _CREATED_S_OFF
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def look(data_dir: Path) -> list[Part]:
    """The parts as they are now: one whose process is gone counts as stopped, whatever the file says."""
    known = read(data_dir)
    if known is None:
        return []
    supervised = is_alive(known.demo.pid, known.demo.created)
    return [
        part if supervised or part.is_alive() else msgspec.structs.replace(part, state=State.STOPPED, pid=0)
        for part in known.parts
    ]


def kill(data_dir: Path, name: str) -> Part:
    """SIGKILL one part. Raises LocalError where there is none of that name, or it is not running."""
    parts = look(data_dir)
    if not parts:
        raise LocalError(f"No demo runs in {data_dir}.", do="Start one with `taxi demo`.", code=WRONG_USE)
    part = next((part for part in parts if part.name == name), None)
    if part is None:
        names = ", ".join(part.name for part in parts)
        raise LocalError(f"There is no part {name!r}.", do=f"There are {names}.", code=WRONG_USE)
    if not part.kill():
        raise LocalError(f"{name} is not running ({part.state}).", do="Try again in a moment.", code=FAILED)
    return part


def clear_leftovers(data_dir: Path) -> list[str]:
    """Kill what a demo that ended badly left behind. Only while holding the folder. Returns the names."""
    known = read(data_dir)
    left = [part for part in known.parts if part.is_alive()] if known else []
    for part in left:
        process = psutil.Process(part.pid)
        process.kill()
        process.wait(5)
    return [part.name for part in left]
