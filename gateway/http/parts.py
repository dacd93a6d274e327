# SPDX-License-Identifier: Apache-2.0
"""The parts of a local demo, for the page: reads the status file that the demo's supervisor writes."""

from pathlib import Path
from typing import Any

from gateway.http.problems import HttpProblem, not_found
from taxi.runtime import parts
from taxi.runtime.faults import Fault
from taxi.runtime.machine_errors import LocalError
from taxi.runtime.parts import Part


def read_parts(folder: Path) -> list[Part]:
    """The parts in `parts.json`; empty if the file does not exist (yet).

    Raises Problem (500) if it is damaged.
    """
    try:
        known = parts.read(folder)
    except (LocalError, OSError) as error:
        raise HttpProblem(500, "Internal Server Error", f"parts.json: {error}") from None
    return known.parts if known is not None else []


def read_faults(folder: Path) -> tuple[Fault, ...]:
    """The faults in `parts.json`. If the file can't be read, that is a fault, too."""
    try:
        known = parts.read(folder)
    except (LocalError, OSError) as error:
        return (Fault("parts_unreadable", f"parts.json of this demo cannot be read: {error}"),)
    return tuple(Fault(fault.code, fault.text) for fault in known.faults) if known is not None else ()


def as_json(part: Part) -> dict[str, Any]:
    """The fields of a part that are sent to the page."""
    return {"name": part.name, "pid": part.pid, "state": part.state, "restarts": part.restarts}


def find_running(folder: Path, name: str) -> Part:
    """The part with this name, if its process is still the one that the supervisor started.

    Raises:
        Problem: There is no such part (404), or it is not running (409).
    """
    for part in read_parts(folder):
        if part.name == name:
            if not part.is_alive():
                raise HttpProblem(409, "Conflict", f"{name} is not running just now")
            return part
    raise not_found(f"no part is called {name}")
