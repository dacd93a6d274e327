# SPDX-License-Identifier: Apache-2.0
"""Keeps a set of processes alive: starts them in stages, restarts what dies, stops all in reverse order."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from taxi.local import parts as parts_file
from taxi.local.child import keep_small, on_a_leash, tail
from taxi.local.errors import FAILED, WRONG_USE, LocalError
from taxi.local.parts import Demo, Part, Parts, State
from taxi.local.spare import Spares

STEADY_S: Final = 5.0
"""Who lived this long did not crash because of its start: it is restarted at once."""
BACKOFF_S: Final = (0.0, 0.5, 1.0, 2.0, 4.0)
FIRST_STARTS_MAX: Final = 3
TRIM_LOGS_S: Final = 30.0
SPARE_AFTER_S: Final = 3.0
"""A spare is loaded when nobody has needed one for so long: before that, who came back has work to do."""


@dataclass(frozen=True)
class PartSpec:
    """How to run one part."""

    name: str
    command: Callable[[int], Sequence[str]]
    """The command line, given the admin port of this start (0 where `has_admin` is not set)."""
    env: Callable[[int], Mapping[str, str]]
    """Its whole environment, given the same."""
    ready: Callable[["Running"], Awaitable[bool]]
    """Asked again and again until it says yes."""
    port: int | None = None
    has_admin: bool = False
    spare_env: Mapping[str, str] | None = None
    """What a spare of it needs to load; None: it has no spare, and starts from nothing each time."""
    start_s_max: float = 60.0
    stop_s_max: float = 5.0


@dataclass
class Running:
    """A part while the supervisor looks after it."""

    spec: PartSpec
    log: Path
    state: State = State.STARTING
    process: asyncio.subprocess.Process | None = None
    created: float = 0.0
    admin_port: int = 0
    restarts: int = 0
    was_ready: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        return self.process is None or self.process.returncode is not None

    def shown(self) -> Part:
        return Part(
            name=self.spec.name,
            pid=self.process.pid if self.process else 0,
            created=self.created,
            port=self.spec.port,
            admin_port=self.admin_port or None,
            state=self.state,
            restarts=self.restarts,
        )


class Watcher(Protocol):
    """Tells a person what happens."""

    def ready(self, part: Part, after_s: float) -> None: ...

    def died(self, part: Part, how: str, again_in_s: float) -> None: ...

    def stopping(self) -> None: ...


@dataclass(frozen=True)
class Stage:
    """Parts that start together, and what happens once all are ready, before the next stage."""

    parts: tuple[PartSpec, ...]
    then: Callable[[], Awaitable[None]] | None = None


class Supervisor:
    """Runs the stages until it is told to stop. It expects the data directory to be held."""

    def __init__(
        self,
        stages: Sequence[Stage],
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
        self._spares = Spares()
        self._needed_s = 0.0
        """When a part was started last."""
        self._stop_wanted = asyncio.Event()
        self._hurry = asyncio.Event()

    @property
    def spare_pids(self) -> list[int]:
        """Processes that wait to take a dead one's place."""
        return self._spares.pids

    def stop(self) -> None:
        """Stop everything in order; asked a second time, at once."""
        if self._stop_wanted.is_set():
            self._hurry.set()
        self._stop_wanted.set()

    async def run(self) -> None:
        """Start everything, keep it alive, return when told to stop. Raises LocalError if a start fails."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self.stop)
        self._write()
        keeping = asyncio.create_task(self._keep_all())
        stop = asyncio.create_task(self._stop_wanted.wait())
        try:
            await asyncio.wait({keeping, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            self._watcher.stopping()
            keeping.cancel()
            with suppress(asyncio.CancelledError, BaseExceptionGroup):
                await keeping
            await self._stop_all()
        if not keeping.cancelled() and (error := keeping.exception()) is not None:
            raise _first(error)

    async def _keep_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._trim_logs())
            group.create_task(self._keep_spares())
            for stage in self._stages:
                mine = [r for r in self._running if r.spec in stage.parts]
                for running in mine:
                    group.create_task(self._keep(running))
                for running in mine:
                    await running.was_ready.wait()
                if stage.then is not None:
                    await stage.then()

    async def _keep(self, running: Running) -> None:
        """Start a part; whenever it ends, start it again."""
        loop = asyncio.get_running_loop()
        crashes = 0
        while True:
            born = loop.time()
            await self._spawn(running)
            why = await self._until_ready(running)
            if why is None:
                self._watcher.ready(running.shown(), loop.time() - born)
                assert running.process is not None
                why = _ending(await running.process.wait())
            elif not running.was_ready.is_set():
                _give_up_if_hopeless(running, crashes + 1, why)
            crashes = 0 if loop.time() - born >= STEADY_S else crashes + 1
            pause_s = BACKOFF_S[min(max(crashes - 1, 0), len(BACKOFF_S) - 1)]
            running.restarts += 1
            self._change(running, State.RESTARTING)
            self._watcher.died(running.shown(), why, pause_s)
            await asyncio.sleep(pause_s)

    async def _spawn(self, running: Running) -> None:
        spec = running.spec
        running.admin_port = self._admin_port() if spec.has_admin else 0
        running.log.parent.mkdir(parents=True, exist_ok=True)
        keep_small(running.log)
        self._needed_s = asyncio.get_running_loop().time()
        command, environ = tuple(spec.command(running.admin_port)), dict(spec.env(running.admin_port))
        running.process = self._spares.take(command, environ, running.log)
        if running.process is None:
            running.process = await _start(command, environ, running.log)
        running.created = parts_file.born(running.process.pid)
        self._change(running, State.RESTARTING if running.restarts else State.STARTING)

    async def _until_ready(self, running: Running) -> str | None:
        """None once it is ready; else why it is not, its process gone."""
        process = running.process
        assert process is not None
        try:
            async with asyncio.timeout(running.spec.start_s_max):
                while not await running.spec.ready(running):
                    if running.ended:
                        return _ending(await process.wait())
                    await asyncio.sleep(0.05)
        except TimeoutError:
            process.kill()
            await process.wait()
            return f"was not ready within {running.spec.start_s_max:.0f} s"
        running.was_ready.set()
        self._change(running, State.READY)
        return None

    async def _stop_all(self) -> None:
        """Stage by stage, the last one first: SIGTERM, and SIGKILL for what takes too long."""
        for stage in reversed(self._stages):
            mine = [r for r in self._running if r.spec in stage.parts]
            await asyncio.gather(*(self._stop_one(running) for running in mine))
        await self._spares.close()
        self._write()

    async def _stop_one(self, running: Running) -> None:
        process = running.process
        running.state = State.STOPPED
        if process is None or running.ended:
            return
        # A part that was frozen (SIGSTOP) would not hear SIGTERM.
        for number in (signal.SIGTERM, signal.SIGCONT):
            with suppress(ProcessLookupError):
                process.send_signal(number)
        ended = asyncio.create_task(process.wait())
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait(
            {ended, hurry}, timeout=running.spec.stop_s_max, return_when=asyncio.FIRST_COMPLETED
        )
        hurry.cancel()
        if not ended.done():
            with suppress(ProcessLookupError):
                process.kill()
            await ended

    async def _keep_spares(self) -> None:
        """Once everything is well, have a spare of each kind that may have one."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SPARE_AFTER_S)
            well = all(running.state is State.READY for running in self._running)
            for spec in [running.spec for running in self._running]:
                if well and spec.spare_env is not None and loop.time() - self._needed_s >= SPARE_AFTER_S:
                    await self._spares.prepare(tuple(spec.command(0)), spec.spare_env)

    async def _trim_logs(self) -> None:
        while True:
            await asyncio.sleep(TRIM_LOGS_S)
            for running in self._running:
                keep_small(running.log)

    def _change(self, running: Running, state: State) -> None:
        running.state = state
        self._write()

    def _write(self) -> None:
        parts_file.write(self._data_dir, Parts(demo=self._demo, parts=[r.shown() for r in self._running]))


async def _start(command: Sequence[str], environ: Mapping[str, str], log: Path) -> asyncio.subprocess.Process:
    """From nothing."""
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *on_a_leash(command),
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Its own session: Ctrl-C in the terminal reaches us alone, and we stop the parts in order.
            start_new_session=True,
        )


def _give_up_if_hopeless(running: Running, starts: int, why: str) -> None:
    """A part that never got ready: wrong settings stay wrong, and a few attempts are enough for the rest."""
    wrong_settings = running.process is not None and running.process.returncode == WRONG_USE
    if wrong_settings or starts >= FIRST_STARTS_MAX:
        raise LocalError(
            f"{running.spec.name} {why} while starting.",
            do=f"Its whole log is {running.log}",
            code=WRONG_USE if wrong_settings else FAILED,
            details=tail(running.log),
        )


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was killed ({signal.Signals(-code).name})"


def _first(error: BaseException) -> BaseException:
    """The first error inside nested groups: what the person has to hear."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
