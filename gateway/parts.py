# SPDX-License-Identifier: Apache-2.0
"""The parts of a local demo, for the page: what its supervisor wrote down, told as HTTP tells it."""

from pathlib import Path
from typing import Any

from gateway.problems import Problem, not_found
from taxi.local import parts
from taxi.local.errors import LocalError
from taxi.local.parts import Part


def read_parts(folder: Path) -> list[Part]:
    """Everything in `parts.json`; nothing where there is none (yet). Raises Problem where it is damaged."""
    try:
        known = parts.read(folder)
    except (LocalError, OSError) as error:
        raise Problem(500, "Internal Server Error", f"parts.json: {error}") from None
    return known.parts if known is not None else []


def shown(part: Part) -> dict[str, Any]:
    """What a page is told of a part."""
    return {"name": part.name, "pid": part.pid, "state": part.state, "restarts": part.restarts}


def find_running(folder: Path, name: str) -> Part:
    """The part of this name, checked to be the process that the supervisor started. Raises Problem."""
    for part in read_parts(folder):
        if part.name == name:
            if not part.is_alive():
                raise Problem(409, "Conflict", f"{name} is not running just now")
            return part
    raise not_found(f"no part is called {name}")
