# SPDX-License-Identifier: Apache-2.0
"""`parts.json`: which parts a demo runs, for `taxi ps`, `taxi kill` and the page's kill button."""

import os
import signal
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec
import psutil

from taxi.runtime.machine_errors import FAILED, WRONG_USE, LocalError, from_os

_CREATED_S_OFF: Final = 2.0
"""A process's birth is computed from the system's boot time, which moves when the clock is set."""


class State(StrEnum):
    """Where a part is in its life."""

    STARTING = "starting"
    READY = "ready"
    NOT_READY = "not ready"
    """It was ready, and says now why it is not."""
    FROZEN = "frozen"
    """Its process is stopped (SIGSTOP). It is replaced if that lasts."""
    NOT_ANSWERING = "not answering"
    """Its process runs and its admin port is silent. It is replaced if that lasts."""
    RESTARTING = "restarting"
    PAUSED = "paused"
    """It would have to write, and the disk is full. It starts again when there is room."""
    STOPPED = "stopped"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a demo."""

    name: str
    pid: Annotated[int, msgspec.Meta(ge=0)]
    """Its last one; 0 where there is none."""
    created: float
    """When the process was born (epoch seconds), so that another one with its pid is not taken for it."""
    port: int | None
    """Where it serves others, None where it does not."""
    admin_port: int | None
    state: State
    restarts: int
    reason: str = ""
    """Why it is in this state, where there is more to say than its name."""

    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        return is_alive(self.pid, self.created)

    def kill(self) -> bool:
        """SIGKILL, if it is still that process. Returns whether it was."""
        return self.send(signal.SIGKILL)

    def send(self, number: signal.Signals) -> bool:
        """Send a signal, if it is still that process. Returns whether it was."""
        if not self.is_alive():
            return False
        with suppress(ProcessLookupError):  # it has ended since
            os.kill(self.pid, number)
            return True
        return False


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """The supervisor itself."""

    pid: Annotated[int, msgspec.Meta(ge=0)]
    created: float
    started_ms: int
    url: str
    """Empty where no page is served."""
    bootstrap_servers: str
    cities: str = ""
    """TAXI_CITIES of its parts; empty: they have that of their environment."""
    cities_dir: str = ""
    """TAXI_CITIES_DIR of its parts, an absolute path."""


class DemoFault(msgspec.Struct, frozen=True, kw_only=True):
    """A condition that lasts in the demo as a whole (a full disk, a part that is down), for the page."""

    code: str
    """snake_case, one of those listed in docs/operations.md."""
    text: str
    """What is wrong and what to do, for a person."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    demo: Demo
    parts: list[Part]
    faults: list[DemoFault] = []
    """Gateways of the demo show them on the page within a second."""


def is_broker(name: str) -> bool:
    """Whether a part of this name is a Kafka broker: the only one is `kafka`, of three they are numbered."""
    return name.partition("-")[0] == "kafka"


def path(data_dir: Path) -> Path:
    """Where the file is."""
    return data_dir / "parts.json"


def read(data_dir: Path) -> Parts | None:
    """What the file says; None where there is none (no demo ever ran, or it ended in order).

    Raises LocalError: it cannot be read, or is damaged.
    """
    place = path(data_dir)
    try:
        return msgspec.json.decode(place.read_bytes(), type=Parts)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise from_os(error, place, do="A demo in another --data-dir is not affected.") from error
    except msgspec.DecodeError as error:
        raise LocalError(
            f"{place} is not readable: {error}.", do="A running demo writes it again; else delete it."
        ) from error


def write(data_dir: Path, parts: Parts) -> None:
    """Replace the file in one step, also if the power fails: a reader sees the old one or the new one.

    Raises OSError: it could not be written, and the old one is still there.
    """
    new = path(data_dir).with_suffix(".new")
    try:
        with new.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(parts), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path(data_dir))
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise


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


def list_current(data_dir: Path) -> list[Part]:
    """The parts as they are now: the file may be older than the end of a process, or of the whole demo."""
    known = read(data_dir)
    if known is None:
        return []
    supervised = is_alive(known.demo.pid, known.demo.created)
    return [_as_it_is(part, supervised=supervised) for part in known.parts]


def _as_it_is(part: Part, *, supervised: bool) -> Part:
    """What the file says of a part, unless its process is gone."""
    if part.is_alive():
        return part
    if not supervised:
        return msgspec.structs.replace(part, state=State.STOPPED, pid=0)
    if part.state in {State.STARTING, State.RESTARTING, State.PAUSED, State.STOPPED}:
        return part
    return msgspec.structs.replace(part, state=State.RESTARTING, reason="its process has ended")


def faults(data_dir: Path) -> list[DemoFault]:
    """The faults of the demo as a whole; none where no demo runs. Raises LocalError as `read` does."""
    known = read(data_dir)
    is_running = known is not None and is_alive(known.demo.pid, known.demo.created)
    return known.faults if known is not None and is_running else []


def kill(data_dir: Path, name: str) -> Part:
    """SIGKILL one part. Raises LocalError where there is none of that name, or it is not running."""
    parts = list_current(data_dir)
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
    """Kill what a demo that ended badly left behind. Only while holding the folder. Returns the names.

    A file that is empty or cut off (the power failed) names nothing, and the next `write` replaces it.
    """
    try:
        known = read(data_dir)
    except LocalError:
        known = None
    left = [part for part in known.parts if part.is_alive()] if known else []
    for part in left:
        try:
            process = psutil.Process(part.pid)
            process.kill()
            process.wait(5)
        except psutil.NoSuchProcess:
            continue
        except (psutil.AccessDenied, psutil.TimeoutExpired) as error:
            raise LocalError(
                f"{part.name} of an earlier demo still runs (pid {part.pid}) and cannot be ended.",
                do="End it as the user that started it.",
                code=WRONG_USE,
            ) from error
    return [part.name for part in left]


def remove(data_dir: Path) -> None:
    """Delete the file at the end of a demo, unless a part still runs: the next start then ends it."""
    with suppress(LocalError, OSError):
        known = read(data_dir)
        others = [part for part in known.parts if part.pid != os.getpid()] if known else []
        if not any(part.is_alive() for part in others):
            path(data_dir).unlink(missing_ok=True)
