# SPDX-License-Identifier: Apache-2.0
"""Reads commands and fixes of a city, and gathers them until a batch is due."""

import asyncio
import base64
from typing import Any, Final

from dispatcher.cut import Cut, Epoch, ReadCommand, ReadFix, Skipped, digest
from taxi import codec
from taxi.bus import Bus, Outgoing, Reader, Record
from taxi.messages import AnswerOffer, AnyCommand, CancelRide, DeadLetter
from taxi.runtime import tracing
from taxi.topics import COMMANDS, LOCATIONS

URGENT: Final = (AnswerOffer, CancelRide)
"""Somebody is waiting for the outcome of these: a batch closes early for them."""
EARLY_MS: Final = 100
"""… but batches are at least this far apart."""
_WAIT_MS: Final = 100
_FIXES_AT_ONCE: Final = 20_000
_VALUE_BYTES_MAX: Final = 16 * 1024


class Inputs:
    """Both inputs of one city from the offsets of its last batch on."""

    def __init__(self, commands: Reader, locations: Reader, partition: int, name: str) -> None:
        self._commands_reader = commands
        self._locations_reader = locations
        self._partition = partition
        self._name = name
        self._commands: list[ReadCommand] = []
        self._fixes: list[ReadFix] = []
        self._heard_ms = 0
        self._last: dict[str, Record] = {}
        self.dead_letters: list[Outgoing] = []
        """Found unreadable since they were last taken away."""

    @classmethod
    async def open(cls, bus: Bus, partition: int, commands: int, locations: int, name: str) -> "Inputs":
        """Start reading at these offsets."""
        return cls(
            await bus.reader(COMMANDS, partition, commands),
            await bus.reader(LOCATIONS, partition, locations),
            partition,
            name,
        )

    async def gather(self, interval_s: float, *, since_s: float) -> None:
        """Read until a batch is due: `interval_s` after `since_s` (loop time), or early for an urgent one.

        Raises what a reader raises; what was read until then is kept.
        """
        loop = asyncio.get_running_loop()
        due_s = since_s + interval_s
        while (left_s := due_s - loop.time()) > 0:
            early_s = since_s + EARLY_MS / 1000 - loop.time()
            if any(isinstance(read.command, URGENT) for read in self._commands) and early_s <= 0:
                break
            wait_ms = int(min(_WAIT_MS, max(left_s * 1000, 1)))
            self._take_commands(await self._commands_reader.fetch(wait_ms=wait_ms))
        await self._drain_locations()

    def cut(self, *, epoch: Epoch | None, skipped: tuple[Skipped, ...]) -> Cut:
        """What was gathered, as the input of a batch; begins anew."""
        cut = Cut(
            commands=tuple(self._commands),
            fixes=tuple(self._fixes),
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

    def take_dead_letters(self) -> list[Outgoing]:
        """The dead letters to send now."""
        letters, self.dead_letters = self.dead_letters, []
        return letters

    async def close(self) -> None:
        """Let go of both readers."""
        await self._commands_reader.close()
        await self._locations_reader.close()

    async def _drain_locations(self) -> None:
        records = await self._locations_reader.fetch(max_records=_FIXES_AT_ONCE, wait_ms=1)
        while records:
            self._take_locations(records)
            if len(records) < _FIXES_AT_ONCE // 2:
                break
            records = await self._locations_reader.fetch(max_records=_FIXES_AT_ONCE, wait_ms=1)

    def _take_commands(self, records: list[Record]) -> None:
        for record in records:
            command: AnyCommand | None = self._decode(COMMANDS, record)
            if command is not None:
                trace = tracing.parse(record.headers) or tracing.root(command.command_id)
                self._commands.append(ReadCommand(command, record.timestamp_ms, trace))

    def _take_locations(self, records: list[Record]) -> None:
        for record in records:
            fix = self._decode(LOCATIONS, record)
            if fix is not None:
                self._fixes.append(ReadFix(fix, record.offset, record.timestamp_ms))

    def _decode(self, topic: str, record: Record) -> Any:
        """The message, or None and a dead letter. Either way it was read, and its time counts."""
        self._last[topic] = record
        self._heard_ms = max(self._heard_ms, record.timestamp_ms)
        try:
            return codec.decode(topic, record)
        except codec.DecodeError as error:
            self.dead_letters.append(dead_letter(error, self._partition, self._name))
            return None

    def _digest(self, topic: str) -> str:
        last = self._last.get(topic)
        return digest(last) if last is not None else ""


def dead_letter(error: codec.DecodeError, partition: int, found_by: str) -> Outgoing:
    """The record to write for one that can't be read. Its key is its source: a repeat is seen as one."""
    record = error.record
    letter = DeadLetter(
        topic=error.topic,
        partition=partition,
        offset=record.offset,
        reason=error.reason,
        found_by=found_by,
        key=base64.b64encode(record.key or b"").decode("ascii"),
        value=base64.b64encode((record.value or b"")[:_VALUE_BYTES_MAX]).decode("ascii"),
    )
    return Outgoing(
        f"{error.topic}/{partition}/{record.offset}".encode(), codec.encode(letter), record.headers
    )
