# SPDX-License-Identifier: Apache-2.0
"""The parts of a local demo, as its supervisor wrote them down; and how one of them is killed."""

import os
import signal
from pathlib import Path
from typing import Any

import msgspec
import psutil
from msgspec import Struct

from gateway.problems import Problem, not_found

_CLOCK_S = 1.0
"""Two readings of one process's birth differ by less."""


class Part(Struct, frozen=True):
    """A process of the demo."""

    name: str
    pid: int
    created: float
    """Seconds since the epoch, as psutil tells it: another process with this pid was born at another time."""
    state: str = ""
    restarts: int = 0
    port: int | None = None


class _Parts(Struct):
    parts: tuple[Part, ...]


def read_parts(folder: Path) -> tuple[Part, ...]:
    """Everything in `parts.json`; nothing where there is none (yet). Raises Problem where it is damaged."""
    try:
        return msgspec.json.decode((folder / "parts.json").read_bytes(), type=_Parts).parts
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        raise Problem(500, "Internal Server Error", f"parts.json: {error}") from None


def shown(part: Part) -> dict[str, Any]:
    """What a page is told of a part."""
    return {"name": part.name, "pid": part.pid, "state": part.state, "restarts": part.restarts}


def find_running(folder: Path, name: str) -> Part:
    """The part of this name, checked to be the process that the supervisor started. Raises Problem."""
    for part in read_parts(folder):
        if part.name == name:
            if not _is_alive(part):
                raise Problem(409, "Conflict", f"{name} is not running just now")
            return part
    raise not_found(f"no part is called {name}")


def kill(part: Part) -> None:
    """SIGKILL, if it is still that process."""
    if _is_alive(part):
        os.kill(part.pid, signal.SIGKILL)


def _is_alive(part: Part) -> bool:
    try:
        return abs(psutil.Process(part.pid).create_time() - part.created) < _CLOCK_S
    except psutil.Error:
        return False
