# SPDX-License-Identifier: Apache-2.0
"""Keeps standby processes, which have loaded a service and replace dead ones (`taxi.runtime.spare`)."""

import asyncio
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from taxi.runtime.spare import VARIABLE, WAITS, Orders, as_text
from taxistream.local.child import send_signal, with_parent_death_signal

LOAD_S_MAX: Final = 30.0
Command = tuple[str, ...]


class Spares:
    """At most one for each command line, whatever part it will be."""

    def __init__(self) -> None:
        self._waiting: dict[Command, Process] = {}
        self._refused: set[Command] = set()
        """Commands of programs that don't know of spares."""

    @property
    def pids(self) -> list[int]:
        """Those that wait."""
        return [process.pid for process in self._waiting.values() if process.returncode is None]

    async def prepare(self, command: Command, environ: Mapping[str, str]) -> None:
        """Have one wait, unless one does. `environ`: what it needs to load; more comes with its orders."""
        spare = self._waiting.get(command)
        if command in self._refused or (spare is not None and spare.returncode is None):
            return
        process = await asyncio.create_subprocess_exec(
            *with_parent_death_signal(command),
            env={**environ, VARIABLE: "1"},
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,  # what keeps it from loading shows in the log of the next ordinary start
            start_new_session=True,
        )
        try:
            if await _waits(process):
                self._waiting[command] = process
            else:
                self._refused.add(command)
        finally:
            if self._waiting.get(command) is not process:
                await _end(process)

    def take(self, command: Command, environ: Mapping[str, str], log: Path) -> Process | None:
        """Give the one that waits, if any, this environment and log: it is that part from now on."""
        process = self._waiting.pop(command, None)
        if process is None or process.returncode is not None:
            return None
        assert process.stdin is not None
        orders = Orders(
            environ={as_text(key): as_text(value) for key, value in environ.items()},
            log=as_text(log.absolute()),
        )
        process.stdin.write(msgspec.json.encode(orders) + b"\n")
        process.stdin.close()
        return process

    async def close(self) -> None:
        """End those that wait."""
        while self._waiting:
            await _end(self._waiting.popitem()[1])


async def _waits(process: Process) -> bool:
    """Whether it says that it does, in time."""
    assert process.stdout is not None
    with suppress(TimeoutError):
        async with asyncio.timeout(LOAD_S_MAX):
            return await process.stdout.readline() == WAITS
    return False


async def _end(process: Process) -> None:
    send_signal(process, signal.SIGKILL)
    await process.wait()
