# SPDX-License-Identifier: Apache-2.0
"""Reads commands and fixes of a city, and gathers them until a batch is due."""

import asyncio
from typing import Final, Self

from dispatcher.cut import Cut, Epoch, ReadCommand, Skipped, digest
from dispatcher.recovery import Recovered
from taxi import codec
from taxi.bus import Bus, Reader, Record
from taxi.codec import DecodeError
from taxi.fix_columns import FixColumns, joined, read_fixes
from taxi.messages import AnswerOffer, AnyCommand, CancelRide
from taxi.runtime import tracing
from taxi.topics import COMMANDS, LOCATIONS

URGENT: Final = (AnswerOffer, CancelRide)
"""Somebody is waiting for the outcome of these: a batch closes early for them."""
_WAIT_MS: Final = 100
_FIXES_AT_ONCE: Final = 20_000


class Inputs:
    """Both inputs of one city from the offsets of its last batch on."""

    def __init__(self, commands: Reader, locations: Reader) -> None:
        self._commands_reader = commands
        self._locations_reader = locations
        self._commands: list[ReadCommand] = []
        self._fixes: list[FixColumns] = []
        self._heard_ms = 0
        self._last: dict[str, Record] = {}
        self._unreadable: list[DecodeError] = []

    @classmethod
    async def open(cls, bus: Bus, partition: int, found: Recovered) -> Self:
        """Read on where recovery ended."""
        inputs = cls(
            await bus.reader(COMMANDS, partition, found.commands_offset),
            await bus.reader(LOCATIONS, partition, found.locations_offset),
        )
        inputs._heard_ms = found.locations.heard_ms
        if found.locations.last is not None:
            inputs._last[LOCATIONS] = found.locations.last
        inputs._unreadable += [*found.unreadable, *found.locations.unreadable]
        return inputs

    async def gather(self, due_s: float, early_s: float) -> bool:
        """Read until a batch is due: at `due_s` (loop time), or from `early_s` on if one is urgent.

        Returns whether it is due. An early batch leaves the fixes for later: it only answers commands.
        Raises what a reader raises; what was read until then is kept.
        """
        loop = asyncio.get_running_loop()
        while (now_s := loop.time()) < due_s:
            urgent = any(isinstance(read.command, URGENT) for read in self._commands)
            if urgent and now_s >= early_s:
                return False
            until_s = early_s if urgent else due_s
            wait_ms = int(min(_WAIT_MS, max((until_s - now_s) * 1000, 1)))
            self._take_commands(await self._commands_reader.fetch(wait_ms=wait_ms))
        while records := await self._locations_reader.fetch(max_records=_FIXES_AT_ONCE, wait_ms=1):
            self._take_locations(records)
        return True

    def cut(self, *, epoch: Epoch | None, skipped: tuple[Skipped, ...]) -> Cut:
        """What was gathered, as the input of a batch; begins anew."""
        cut = Cut(
            commands=tuple(self._commands),
            fixes=joined(self._fixes),
            commands_offset=self._commands_reader.position,
            locations_offset=self._locations_reader.position,
            commands_digest=self._digest(COMMANDS),
            locations_digest=self._digest(LOCATIONS),
            heard_ms=self._heard_ms,
            epoch=epoch,
            skipped=skipped,
        )
        self._commands, self._fixes = [], []
        return cut

    def take_unreadable(self) -> list[DecodeError]:
        """What could not be read since this was last asked."""
        unreadable, self._unreadable = self._unreadable, []
        return unreadable

    async def close(self) -> None:
        """Let go of both readers."""
        await self._commands_reader.close()
        await self._locations_reader.close()

    def _take_commands(self, records: list[Record]) -> None:
        self._heard(COMMANDS, records, max((record.timestamp_ms for record in records), default=0))
        for record in records:
            try:
                command: AnyCommand = codec.decode(COMMANDS, record)
            except DecodeError as error:
                self._unreadable.append(error)
                continue
            trace = tracing.parse(record.headers) or tracing.root(command.command_id)
            self._commands.append(ReadCommand(command, record.timestamp_ms, trace))

    def _take_locations(self, records: list[Record]) -> None:
        read = read_fixes(records)
        self._heard(LOCATIONS, records, read.heard_ms)
        self._fixes.append(read.fixes)
        self._unreadable += read.unreadable

    def _heard(self, topic: str, records: list[Record], newest_ms: int) -> None:
        """Readable or not, they were read, and their time counts."""
        if records:
            self._last[topic] = records[-1]
        self._heard_ms = max(self._heard_ms, newest_ms)

    def _digest(self, topic: str) -> str:
        last = self._last.get(topic)
        return digest(last) if last is not None else ""
