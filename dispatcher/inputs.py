# SPDX-License-Identifier: Apache-2.0
"""Reads commands and positions of a city, and gathers them until a batch is due."""

import asyncio
from typing import Final, Self

from dispatcher.batch_input import BatchInput, EpochToBegin, ReadCommand, Skipped, digest
from dispatcher.recovery import Recovered
from dispatcher.settings import Settings
from taxi.bus import RECORDS_AT_ONCE, Bus, Damaged, Reader, Record
from taxi.messages import AnswerOffer, AnyCommand, CancelRide, codec
from taxi.messages.codec import DecodeError
from taxi.positions.columns import FixColumns, joined, read_fixes
from taxi.runtime import tracing
from taxi.runtime.env import Env
from taxi.runtime.held_back import HeldBack
from taxi.topics import COMMANDS, EVENTS, LOCATIONS, SNAPSHOTS

URGENT: Final = (AnswerOffer, CancelRide)
"""Somebody is waiting for the outcome of these: a batch closes early for them."""
COMMANDS_MAX: Final = 2_000
"""Commands in one batch. With the next two it bounds what a batch costs, however much is waiting."""
COMMAND_BYTES_MAX: Final = 1 << 20
"""And bytes of them; one command is always taken."""
SILENCE_S: Final = 5.0
"""If no position came for so long, commands alone move log time."""
FIXES_MAX: Final = 200_000
"""Positions in one batch."""
_UNREADABLE_BYTES_MAX: Final = 8 << 20
"""What can't be read is kept until the batch closes."""
HELD_BACK: Final = {
    EVENTS: "events_held_back",
    SNAPSHOTS: "snapshots_held_back",
    COMMANDS: "commands_held_back",
    LOCATIONS: "positions_held_back",
}
"""Topic → the fault while an open transaction of another producer holds its records back."""
_WAIT_MS: Final = 100


class Inputs:
    """Both inputs of one city from the offsets of its last batch on."""

    def __init__(self, commands: Reader, positions: Reader) -> None:
        self._commands_reader = commands
        self._positions_reader = positions
        self._commands: list[ReadCommand] = []
        self._taken = 0
        """Command records of the batch at hand, unreadable ones included."""
        self._taken_bytes = 0
        self._held: list[Record] = []
        """Command records that were fetched but are left for the next batch."""
        self._fixes: list[FixColumns] = []
        self._heard_ms = 0
        """The greatest append time of the commands of the batch at hand."""
        self._silent_s: float | None = None
        """Since when (loop time) every look for positions has found none."""
        self._last: dict[str, Record] = {}
        self._unreadable: list[DecodeError] = []

    @classmethod
    async def open(cls, bus: Bus, partition: int, found: Recovered) -> Self:
        """Read on where recovery ended."""
        inputs = cls(
            await bus.reader(COMMANDS, partition, found.commands_offset),
            await bus.reader(LOCATIONS, partition, found.locations_offset),
        )
        if found.unbatched.last is not None:
            inputs._last[LOCATIONS] = found.unbatched.last
        inputs._unreadable += [*found.unreadable, *found.unbatched.unreadable]
        return inputs

    @property
    def commands_behind(self) -> int:
        """Commands on the log that no batch has taken, as far as the broker's last answer says."""
        return _readable(self._commands_reader, self._commands_offset)

    @property
    def positions_behind(self) -> int:
        """The same of positions."""
        return _readable(self._positions_reader, self._positions_reader.position)

    async def gather(self, due_s: float, early_s: float) -> bool:
        """Read until a batch is due: at `due_s` (loop time), or from `early_s` on if it is full or urgent.

        Returns whether it is due. An early batch leaves the positions for later: it only answers commands.
        Raises what a reader raises; what was read until then is kept.
        """
        loop = asyncio.get_running_loop()
        self._take_commands(self._held)
        while (now_s := loop.time()) < due_s:
            is_early = self._is_full or any(isinstance(read.command, URGENT) for read in self._commands)
            if is_early and now_s >= early_s:
                return False
            until_s = min(early_s, due_s) if is_early else due_s
            if self._is_full:
                await asyncio.sleep(until_s - now_s)
                continue
            wait_ms = int(min(_WAIT_MS, max((until_s - now_s) * 1000, 1)))
            at_most = COMMANDS_MAX - self._taken
            self._take_commands(await self._commands_reader.fetch(max_records=at_most, wait_ms=wait_ms))
        await self._read_positions()
        return True

    async def _read_positions(self) -> None:
        """All there are, up to a bound: the rest comes with the next batch."""
        left, unreadable_bytes = FIXES_MAX, 0
        while left > 0 and unreadable_bytes < _UNREADABLE_BYTES_MAX:
            at_most = min(RECORDS_AT_ONCE, left)
            records = await self._positions_reader.fetch(max_records=at_most, wait_ms=1)
            if not records:
                if left == FIXES_MAX and self._silent_s is None:
                    self._silent_s = asyncio.get_running_loop().time()
                return
            self._silent_s = None
            left -= len(records)
            unreadable_bytes += self._take_positions(records)

    def take_batch_input(
        self,
        *,
        epoch_to_begin: EpochToBegin | None,
        skipped: tuple[Skipped, ...],
        replaced_producer_id: int | None = None,
    ) -> BatchInput:
        """What was gathered, as the input of a batch. The next call begins with what was left over."""
        end = self._commands_reader.end
        batch_input = BatchInput(
            commands=tuple(self._commands),
            fixes=joined(self._fixes),
            commands_offset=self._commands_offset,
            locations_offset=self._positions_reader.position,
            commands_digest=self._digest(COMMANDS),
            locations_digest=self._digest(LOCATIONS),
            heard_ms=self._heard_ms,
            commands_alone=self._are_alone,
            behind=end is None or self._commands_offset < end,
            epoch_to_begin=epoch_to_begin,
            skipped=skipped,
            replaced_producer_id=replaced_producer_id,
        )
        self._commands, self._fixes = [], []
        self._taken = self._taken_bytes = self._heard_ms = 0
        return batch_input

    @property
    def _are_alone(self) -> bool:
        """Whether the positions stopped a while ago."""
        now_s = asyncio.get_running_loop().time()
        return self._silent_s is not None and now_s - self._silent_s >= SILENCE_S

    @property
    def _is_full(self) -> bool:
        return self._taken >= COMMANDS_MAX or self._taken_bytes >= COMMAND_BYTES_MAX

    @property
    def _commands_offset(self) -> int:
        """The next command to take."""
        return self._held[0].offset if self._held else self._commands_reader.position

    def held_back(self, env: Env[Settings], partition: int, city: str) -> tuple[HeldBack, ...]:
        """What reports an open transaction of others that holds one of the readers back."""
        readers = {COMMANDS: self._commands_reader, LOCATIONS: self._positions_reader}
        return tuple(
            HeldBack(
                env,
                topic,
                partition,
                reader,
                code=HELD_BACK[topic],
                consequence=f"The dispatcher of {city} does not get them until it ends",
                blocks=True,
                about=city,
            )
            for topic, reader in readers.items()
        )

    def take_unreadable(self) -> list[DecodeError]:
        """What could not be read since this was last asked."""
        unreadable, self._unreadable = self._unreadable, []
        return unreadable

    async def close(self) -> None:
        """Let go of both readers."""
        await self._commands_reader.close()
        await self._positions_reader.close()

    def _take_commands(self, records: list[Record]) -> None:
        """Take records in, until the batch is full; hold the others."""
        self._held = []
        for index, record in enumerate(records):
            if self._is_full:
                self._held = records[index:]
                break
            self._take_command(record)

    def _take_command(self, record: Record) -> None:
        self._taken += 1
        self._taken_bytes += _size(record)
        self._last[COMMANDS] = record
        self._heard_ms = max(self._heard_ms, record.timestamp_ms)
        try:
            command: AnyCommand = codec.decode(COMMANDS, record)
        except DecodeError as error:
            self._unreadable.append(error)
            return
        trace = tracing.parse(record.headers) or tracing.root(command.command_id)
        self._commands.append(ReadCommand(command, record.timestamp_ms, trace))

    def _take_positions(self, records: list[Record]) -> int:
        """Returns how many bytes of it can't be read."""
        read = read_fixes(records)
        self._last[LOCATIONS] = records[-1]
        self._fixes.append(read.fixes)
        self._unreadable += read.unreadable
        return sum(_size(error.record) for error in read.unreadable)

    def _digest(self, topic: str) -> str:
        last = self._last.get(topic)
        return digest(last) if last is not None else ""


def _size(record: Record) -> int:
    """The bytes of it that are kept."""
    return len(record.raw if isinstance(record, Damaged) else record.value or b"")


def _readable(reader: Reader, offset: int) -> int:
    """How much of the log from `offset` on waits; what an open transaction holds back is no backlog."""
    return max(0, (reader.end or 0) - reader.withheld - offset)
