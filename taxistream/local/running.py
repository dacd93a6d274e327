# SPDX-License-Identifier: Apache-2.0
"""A part of a demo: how to run it, and its process while the supervisor looks after it."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple

import psutil

from taxi.runtime.parts import Part, State
from taxistream.local.child import send_signal, with_parent_death_signal
from taxistream.local.java_errors import Cause
from taxistream.local.pulse import Patience, Sample

_BUSY_SHARE: Final = 0.1
"""A process that used more than this share of a processor since the last look has something to do."""


class ReadinessAnswer(NamedTuple):
    """What a part says of itself."""

    is_ready: bool
    reason: str = ""
    """Why it is not ready."""


@dataclass(frozen=True)
class PartSpec:
    """How to run one part."""

    name: str
    command: Callable[[int], Sequence[str]]
    """The command line, given the admin port of this start (0 where `has_admin` is not set)."""
    env: Callable[[int], Mapping[str, str]]
    """Its whole environment, given the same."""
    ready: Callable[["Running"], Awaitable[ReadinessAnswer | None]]
    """Asked again and again until it says that the part is ready. None: no answer."""
    before_start: Callable[[], Awaitable[None]] | None = None
    """Awaited before each start of its process. It may raise LocalError: the start has failed."""
    alive: Callable[["Running"], Awaitable[ReadinessAnswer | None]] | None = None
    """Asked every second from then on. None: nothing is asked, only the state of its process counts."""
    patience: Patience = Patience(frozen_s=15.0, silent_s=20.0)  # noqa: RUF009 - immutable
    """How long it may be without a sign of life."""
    port: int | None = None
    cwd: Path | None = None
    """Where it runs; by default where the supervisor does."""
    has_admin: bool = False
    spare_env: Mapping[str, str] | None = None
    """What a spare of it needs to load; None: it has no spare, and starts from nothing each time."""
    start_s_max: float = 60.0
    stop_s_max: float = 5.0
    on_full_disk: Literal["run", "wait", "pause"] = "run"
    """`wait`: it is not started without room on the disk. `pause`: it is also stopped when that ends."""
    explain: Callable[[str], Cause | None] | None = None
    """The known cause that the end of its log names, if any."""
    after_end: Callable[[], Awaitable[str | None]] | None = None
    """Called when its process has ended and before it is started again: lets others know that it is gone.
    It returns what went wrong, if anything."""
    shown_log: Callable[[str], str] = str
    """The lines of its log that a person wants to see when it has failed."""


@dataclass
class Running:
    """A part while the supervisor looks after it."""

    spec: PartSpec
    log: Path
    state: State = State.STARTING
    reason: str = ""
    process: asyncio.subprocess.Process | None = None
    created: float = 0.0
    admin_port: int = 0
    restarts: int = 0
    failures: int = 0
    """Ends, one after the other, without having been ready for long before."""
    reported_s: float = 0.0
    """When its state or reason was last written."""
    log_start: int = 0
    """Where in the log its present life begins."""
    was_ready: asyncio.Event = field(default_factory=asyncio.Event)
    _seen: psutil.Process | None = None
    _cpu_s: float = 0.0

    @property
    def ended(self) -> bool:
        return self.process is None or self.process.returncode is not None

    def age_s(self) -> float:
        """How long its process has lived, in seconds; 0 if it ended before its birth was noted."""
        return time.time() - self.created if self.created else 0.0

    def shown(self) -> Part:
        return Part(
            name=self.spec.name,
            pid=self.process.pid if self.process else 0,
            created=self.created,
            port=self.spec.port,
            admin_port=self.admin_port or None,
            state=self.state,
            restarts=self.restarts,
            reason=self.reason,
        )

    def sample(self, passed_s: float, *, is_asked: bool) -> Sample:
        """Look at the process, `passed_s` after the last time. One that is gone counts as busy ending."""
        try:
            if self._seen is None or self.process is None or self._seen.pid != self.process.pid:
                self._seen, self._cpu_s = psutil.Process(self.process.pid if self.process else 0), 0.0
            with self._seen.oneshot():
                status, times = self._seen.status(), self._seen.cpu_times()
        except psutil.Error:
            return Sample(is_busy=True)
        cpu_s = times.user + times.system
        used_s, self._cpu_s = cpu_s - self._cpu_s, cpu_s
        is_running = status in {psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP}
        return Sample(
            is_stopped=status == psutil.STATUS_STOPPED,
            is_traced=status == psutil.STATUS_TRACING_STOP,
            is_busy=is_running or used_s > _BUSY_SHARE * passed_s,
            is_asked=is_asked,
        )


async def spawn(
    command: Sequence[str], environ: Mapping[str, str], log: Path, cwd: Path | None
) -> asyncio.subprocess.Process:
    """Start a process that appends what it prints to `log` and dies with this one. Raises OSError."""
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *with_parent_death_signal(command),
            env=environ,
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Its own session: Ctrl-C in the terminal reaches us alone, and we stop the parts in order.
            start_new_session=True,
        )


async def stop(running: Running, hurry: asyncio.Event) -> None:
    """End its process: SIGTERM, and SIGKILL if that takes too long or `hurry` is set."""
    process = running.process
    if process is None or running.ended:
        return
    # A part that was frozen (SIGSTOP) would not hear SIGTERM.
    for number in (signal.SIGTERM, signal.SIGCONT):
        send_signal(process, number)
    ended = asyncio.ensure_future(process.wait())
    hurried = asyncio.ensure_future(hurry.wait())
    await asyncio.wait({ended, hurried}, timeout=running.spec.stop_s_max, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not ended.done():
        send_signal(process, signal.SIGKILL)
        await ended


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was killed ({signal.Signals(-code).name})"
