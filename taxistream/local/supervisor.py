# SPDX-License-Identifier: Apache-2.0
"""Keeps a set of processes alive: starts them in stages, restarts what dies, stops all in reverse order.

It replaces a part that is frozen or no longer answers (`pulse`), pauses those that write while the disk is
full (`room`), and shows all of it in `parts.json`. Its rules for a part that fails:

- A part that has never been ready ends the demo after `FIRST_STARTS_MAX` failed starts, however long each
  took; after the first one if it refuses its settings or the disk is full.
- A part that was ready once is started again for as long as the demo runs. The pause before a start grows
  with the number of failures since it was last ready for `STEADY_S`.
- A part that says what it waits for has not failed, and is waited for.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from taxi.runtime import parts as parts_file
from taxi.runtime.machine_errors import FAILED, NO_ROOM, WRONG_USE, LocalError
from taxi.runtime.parts import Demo, DemoFault, Part, Parts, State
from taxistream.local.care import Care
from taxistream.local.child import keep_small, tail
from taxistream.local.java_errors import STORAGE, Cause
from taxistream.local.room import Room
from taxistream.local.running import PartSpec, Running, spawn, stop
from taxistream.local.spare import Spares
from taxistream.local.status_file import StatusFile

STEADY_S: Final = 5.0
"""A part that was ready for so long did not die of its start: it is restarted at once."""
BACKOFF_S: Final = (0.0, 0.5, 1.0, 2.0, 4.0)
FIRST_STARTS_MAX: Final = 3
FAILURES_SHOWN: Final = 3
"""So many failures one after the other are a fault that is shown."""
REASON_S: Final = 5.0
"""How often a part's reason is written at most while its state stays."""
TRIM_LOGS_S: Final = 30.0
LOOK_AT_DISK_S: Final = 2.0
SPARE_AFTER_S: Final = 3.0
"""A spare is loaded when none has been needed for so long: before that, a new part has work to do."""

DISK_FULL: Final = "disk_full"
STATUS_UNWRITABLE: Final = "status_unwritable"
PART_FAILING: Final = "part_failing"


class PortTakenError(LocalError):
    """Another program took a part's port between the choice of the port and the part's first start."""


class Watcher(Protocol):
    """Tells a person what happens."""

    def ready(self, part: Part, after_s: float) -> None: ...

    def waits(self, part: Part) -> None: ...

    def died(self, part: Part, how: str, again_in_s: float) -> None: ...

    def paused(self, part: Part) -> None: ...

    def fault(self, fault: DemoFault) -> None: ...

    def cleared(self, fault: DemoFault) -> None: ...

    def warns(self, part: Part, text: str) -> None: ...

    def stopping(self) -> None: ...


@dataclass(frozen=True)
class StartStage:
    """Parts that start together, and what happens once all are ready, before the next stage."""

    parts: tuple[PartSpec, ...]
    then: Callable[[], Awaitable[None]] | None = None


class Supervisor:
    """Runs the stages until it is asked to stop. It expects the data directory to be held."""

    def __init__(
        self,
        stages: Sequence[StartStage],
        *,
        data_dir: Path,
        demo: Demo,
        watcher: Watcher,
        admin_port: Callable[[], int],
    ) -> None:
        """`admin_port` gives a free port."""
        self._stages = stages
        self._data_dir = data_dir
        self._demo = demo
        self._watcher = watcher
        self._admin_port = admin_port
        self._running = [
            Running(spec, data_dir / "logs" / f"{spec.name}.log") for stage in stages for spec in stage.parts
        ]
        self._faults: dict[str, DemoFault] = {}
        self._status = StatusFile(data_dir, self._parts)
        self._room = Room(data_dir)
        self._spares = Spares()
        self._needed_s = 0.0
        """When a part was started last."""
        self._stop_wanted = asyncio.Event()
        self._hurry = asyncio.Event()
        self._care = Care(self._room, watcher, self._change, self._hurry)

    @property
    def spare_pids(self) -> list[int]:
        """Standby processes, which replace dead ones."""
        return self._spares.pids

    def stop(self) -> None:
        """Stop everything in order; asked a second time, at once."""
        if self._stop_wanted.is_set():
            self._hurry.set()
        self.stop_in_order()

    def stop_in_order(self) -> None:
        """Stop everything in order, however often this is asked."""
        self._stop_wanted.set()

    async def run(self) -> None:
        """Start all parts, restart those that die, return when asked to stop. Raises LocalError."""
        watch_signals(self.stop, self.stop_in_order)
        self._status.changed()
        keeping = asyncio.create_task(self._keep_all())
        stop_wanted = asyncio.create_task(self._stop_wanted.wait())
        try:
            await asyncio.wait({keeping, stop_wanted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop_wanted.cancel()
            self._watcher.stopping()
            keeping.cancel()
            with suppress(asyncio.CancelledError, BaseExceptionGroup):
                await keeping
            await self._stop_all()
        if not keeping.cancelled() and (error := keeping.exception()) is not None:
            raise _first(error)

    async def _keep_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for task in (self._status.keep, self._look_at_disk, self._trim_logs, self._keep_spares):
                group.create_task(task())
            for stage in self._stages:
                mine = [r for r in self._running if r.spec in stage.parts]
                for running in mine:
                    group.create_task(self._keep(running))
                for running in mine:
                    await running.was_ready.wait()
                if stage.then is not None:
                    await self._status.write()
                    await stage.then()

    async def _keep(self, running: Running) -> None:
        """Start a part; whenever it ends, start it again."""
        while True:
            await self._care.until_room(running, self._watcher.paused)
            why = await self._live(running)
            if why is None:  # it was paused
                continue
            cause = running.spec.explain(self._last_words(running)) if running.spec.explain else None
            if cause in STORAGE:
                self._room.suspect(cause.what)
            if not running.was_ready.is_set():
                self._give_up_if_hopeless(running, why, cause)
            pause_s = BACKOFF_S[min(max(running.failures - 1, 0), len(BACKOFF_S) - 1)]
            how = f"{why}: {cause.what}" if cause else why
            running.restarts += 1
            self._change(running, State.RESTARTING, how)
            self._watcher.died(running.shown(), how, pause_s)
            self._show_failing()
            await asyncio.gather(asyncio.sleep(pause_s), self._let_others_know(running))

    async def _let_others_know(self, running: Running) -> None:
        """Tell those who would wait for the process that has ended."""
        if running.spec.after_end is not None:
            problem = await running.spec.after_end()
            if problem is not None:
                self._watcher.warns(running.shown(), problem)

    async def _live(self, running: Running) -> str | None:
        """One life of a part. Returns why it ended; None: it was stopped because the disk is full."""
        loop = asyncio.get_running_loop()
        born_s, ready_s = loop.time(), None
        try:
            await self._spawn(running)
            why = await self._care.until_ready(running)
            if why is None:
                ready_s = loop.time()
                running.was_ready.set()
                self._watcher.ready(running.shown(), ready_s - born_s)
                self._show_failing()
                why = await self._care.until_end(running)
        except LocalError as error:
            why = f"could not be started: {error}"
        except OSError as error:
            why = f"could not be started: {error.strerror or error} ({error.filename or 'its process'})"
            if error.errno in NO_ROOM:
                self._room.suspect(error.strerror or why)
        was_steady = ready_s is not None and loop.time() - ready_s >= STEADY_S
        running.failures = 0 if was_steady or why is None else running.failures + 1
        return why

    async def _spawn(self, running: Running) -> None:
        """Start its process, or give a spare its place. Raises OSError."""
        spec = running.spec
        running.process = None
        running.admin_port = self._admin_port() if spec.has_admin else 0
        running.log.parent.mkdir(parents=True, exist_ok=True)
        self._trim(running)
        running.log_start = running.log.stat().st_size if running.log.exists() else 0
        self._needed_s = asyncio.get_running_loop().time()
        command, environ = tuple(spec.command(running.admin_port)), dict(spec.env(running.admin_port))
        if spec.before_start is not None:
            await spec.before_start()
        running.process = self._spares.take(command, environ, running.log)
        if running.process is None:
            running.process = await spawn(command, environ, running.log, spec.cwd)
        running.created = parts_file.born(running.process.pid)
        self._change(running, State.RESTARTING if running.restarts else State.STARTING)

    def _give_up_if_hopeless(self, running: Running, why: str, cause: Cause | None) -> None:
        """Raise LocalError: what is wrong with a part that never was ready will not mend itself."""
        code = running.process.returncode if running.process else None
        is_certain = code == WRONG_USE or cause in STORAGE | {Cause.PORT_TAKEN}
        if not is_certain and running.failures < FIRST_STARTS_MAX:
            return
        kind = PortTakenError if cause is Cause.PORT_TAKEN else LocalError
        raise kind(
            f"{running.spec.name} {why} while starting{f': {cause.what}' if cause else ''}.",
            do=f"{f'{cause.do} ' if cause else ''}Its whole log is {running.log}",
            code=WRONG_USE if code == WRONG_USE else FAILED,
            details=running.spec.shown_log(tail(running.log)),
        )

    async def _stop_all(self) -> None:
        """Stage by stage, the last one first: SIGTERM, and SIGKILL for what takes too long."""
        for stage in reversed(self._stages):
            mine = [r for r in self._running if r.spec in stage.parts]
            await asyncio.gather(*(stop(running, self._hurry) for running in mine))
            for running in mine:
                running.state, running.reason = State.STOPPED, ""
        await self._spares.close()
        await self._status.write()
        self._status.close()

    async def _keep_spares(self) -> None:
        """Once everything is well, have a spare of each kind that may have one."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SPARE_AFTER_S)
            is_well = all(running.state is State.READY for running in self._running)
            for spec in [running.spec for running in self._running]:
                if is_well and spec.spare_env is not None and loop.time() - self._needed_s >= SPARE_AFTER_S:
                    with suppress(OSError):  # no process can be had now: the part will start from nothing
                        await self._spares.prepare(tuple(spec.command(0)), spec.spare_env)

    async def _look_at_disk(self) -> None:
        """Keep the faults that concern the disk up to date."""
        while True:
            if any(running.spec.on_full_disk != "run" for running in self._running):
                await asyncio.to_thread(self._room.refresh)
                problem = self._room.problem
                self._set_fault(DISK_FULL, problem and f"{problem} The city is paused until there is room.")
            error = self._status.error
            place = parts_file.path(self._data_dir)
            stale = (
                f"{place} cannot be written ({error.strerror}), so `taxi ps` is out of date."
                if error
                else None
            )
            self._set_fault(STATUS_UNWRITABLE, stale)
            await asyncio.sleep(LOOK_AT_DISK_S)

    async def _trim_logs(self) -> None:
        while True:
            await asyncio.sleep(TRIM_LOGS_S)
            for running in self._running:
                self._trim(running)

    def _trim(self, running: Running) -> None:
        """Keep a log small. On a disk without room it stays as it is until there is some."""
        with suppress(OSError):
            keep_small(running.log)

    def _last_words(self, running: Running) -> str:
        """What a part printed last, in the life that has just ended."""
        return tail(running.log, lines=200, start=running.log_start)

    def _show_failing(self) -> None:
        failing = [
            f"{running.spec.name} has failed {running.failures} times in a row; its log is {running.log}."
            for running in self._running
            if running.failures >= FAILURES_SHOWN and running.state is not State.READY
        ]
        self._set_fault(PART_FAILING, " ".join(failing) or None)

    def _set_fault(self, code: str, text: str | None) -> None:
        """Set or clear a fault; a person hears of its beginning and of its end."""
        before = self._faults.get(code)
        if text is None:
            if before is not None:
                del self._faults[code]
                self._watcher.cleared(before)
        elif before is None or before.text != text:
            self._faults[code] = DemoFault(code=code, text=text)
            if before is None:
                self._watcher.fault(self._faults[code])
        if self._faults.get(code) != before:
            self._status.changed()

    def _change(self, running: Running, state: State, reason: str = "") -> None:
        """A part's state, and why. Changes of the reason alone are written at their leisure."""
        if (running.state, running.reason) == (state, reason):
            return
        now_s = asyncio.get_running_loop().time()
        is_new = running.state is not state or now_s - running.reported_s >= REASON_S
        running.state, running.reason = state, reason
        if is_new:
            running.reported_s = now_s
            self._status.changed()

    def _parts(self) -> Parts:
        return Parts(
            demo=self._demo,
            parts=[running.shown() for running in self._running],
            faults=[self._faults[code] for code in sorted(self._faults)],
        )


def watch_signals(stop: Callable[[], None], hung_up: Callable[[], None]) -> None:
    """Call `stop` for each signal that asks the program to end, `hung_up` when its terminal is closed.

    A terminal that closes sends SIGHUP twice, to its session and to the group in its foreground, so that is
    no second request. `nohup` ignores the signal on purpose. Needs a running loop.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, hung_up)


def _first(error: BaseException) -> BaseException:
    """The first error inside nested groups: what the person has to hear."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
