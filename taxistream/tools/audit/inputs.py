# SPDX-License-Identifier: Apache-2.0
"""Reads the commands and positions of each batch from their topics."""

import json
from typing import Any, Final

import msgspec

from taxi.bus import NO_TIME, Bus, Record
from taxi.bus.ranges import read_range
from taxi.bus.stretches import Stretches
from taxi.topics import COMMANDS, DEAD_LETTERS, LOCATIONS
from taxistream.tools.audit.answers import Asked
from taxistream.tools.audit.clock import LocationsClock
from taxistream.tools.audit.findings import AuditFindings
from taxistream.tools.audit.journal import Heard, InputRange
from taxistream.tools.documented_fix import decode_fix

_BACK_MS_MAX: Final = 5_000
"""A clock that goes back further was set back: `taxistream/tools/audit/clock.py` looks at that."""
_OLD_MS: Final = 5_000
_AHEAD_MS: Final = 1_000


class InputTopic:
    """One input topic.

    While the batches read an earlier topic of the same name, none of its records exist.
    """

    def __init__(self, bus: Bus, topic: str, partition: int, findings: AuditFindings) -> None:
        self._stretches = Stretches(bus, topic, partition)
        self._findings = findings
        self._newest_ms = 0
        self.is_there = True

    async def take(self, stretch: InputRange) -> tuple[list[Record], bool]:
        """The records of a range, and whether all of them exist undamaged."""
        if not self.is_there:
            return [], False
        taken = await self._stretches.take(stretch.first, stretch.next)
        if not taken.is_there:
            text = f"{self._stretches.topic} does not reach {stretch.next}, which was read"
            self._findings.blame("input_beyond_end", text)
        for record in taken.records:
            back_ms = self._newest_ms - record.timestamp_ms
            if back_ms > _BACK_MS_MAX:
                self._newest_ms = record.timestamp_ms  # the clock was set, or it was a single wrong time
            elif back_ms > 0 and record.timestamp_ms > NO_TIME:
                place = f"{self._stretches.topic}@{record.offset}"
                text = f"{place}: {record.timestamp_ms} after {self._newest_ms}"
                self._findings.blame("append_time_went_back", text)
            self._newest_ms = max(self._newest_ms, record.timestamp_ms)
        return taken.records, taken.is_whole and not taken.is_damaged

    async def start_new_topic(self) -> None:
        """Continue with the topic that was created next under the same name."""
        await self.close()
        self.is_there, self._newest_ms = True, 0

    async def close(self) -> None:
        """Close the reader."""
        await self._stretches.close()


class DeadLetterTopic:
    """The commands that have a dead letter. It is written before the batch that skips its command."""

    def __init__(self, bus: Bus, partition: int) -> None:
        self._bus = bus
        self._partition = partition
        self._offsets: set[int] = set()
        self._ranges: list[range] = []
        """Of letters that several neighbours share."""
        self._next = 0
        self.may_be_more = True

    async def hold(self, offset: int) -> bool:
        """Whether there is a dead letter for the command at this offset."""
        if self.may_be_more:
            self.may_be_more = False
            await self._read_on()
        return offset in self._offsets or any(offset in each for each in self._ranges)

    async def _read_on(self) -> None:
        bounds = await self._bus.offsets(DEAD_LETTERS, self._partition)
        start = max(self._next, bounds.start)
        if start >= bounds.end:
            return
        # Dead letters are written outside of transactions. Read uncommitted, as others' transactions may hide
        # them.
        async with read_range(
            self._bus, DEAD_LETTERS, self._partition, start, bounds.end, committed=False
        ) as chunks:
            async for records in chunks:
                for record in records:
                    letter = _json(record.value)
                    if letter.get("topic") == COMMANDS:
                        self._note(letter.get("offset"), letter.get("next"))
            self._next = chunks.position

    def _note(self, offset: object, end: object) -> None:
        if isinstance(offset, int):
            self._offsets.add(offset)
            if isinstance(end, int):
                self._ranges.append(range(offset, end))


class LogInputs:
    """Both inputs of one city."""

    def __init__(
        self, bus: Bus, partition: int, findings: AuditFindings, recreations: dict[str, int]
    ) -> None:
        """`recreations`: input → how often its topic was created again, according to the log."""
        self._bus = bus
        self._partition = partition
        self._findings = findings
        self._left = dict(recreations)
        self._topics = {
            "commands": InputTopic(bus, COMMANDS, partition, findings),
            "locations": InputTopic(bus, LOCATIONS, partition, findings),
        }
        for name, topic in self._topics.items():
            topic.is_there = not self._left.get(name)
        self._letters = DeadLetterTopic(bus, partition)
        self.clock = LocationsClock()

    def goes_on(self) -> None:
        """Read new dead letters before the next batch, because it was written after the audit began."""
        self._letters.may_be_more = True

    async def commands(self, stretch: InputRange) -> tuple[list[Asked], Heard]:
        """The commands that a batch read."""
        records, whole = await self._take("commands", stretch)
        asked = [await self._asked(record) for record in records]
        return asked, Heard(whole, max((one.append_ms for one in asked), default=0))

    async def locations(self, stretch: InputRange) -> Heard:
        """The append times of the positions that a batch read; also counts the positions."""
        records, whole = await self._take("locations", stretch)
        if stretch.is_new:
            self.clock.start_new_topic()
        self._findings.fixes += len(records)
        self._findings.positions_dropped.update(filter(None, map(self._why_dropped, records)))
        return Heard(whole and self.clock.is_known, self.clock.heard_ms)

    def _why_dropped(self, record: Record) -> str | None:
        """Why a position does not count; None if it does. Written from docs/messages.md alone."""
        try:
            at_ms = decode_fix(record.value or b"").at_ms
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "unreadable"
        if not self.clock.take(record.offset, record.timestamp_ms):
            return "unbelieved"
        if at_ms < record.timestamp_ms - _OLD_MS:
            return "late"
        return "ahead" if at_ms > record.timestamp_ms + _AHEAD_MS else None

    async def close(self) -> None:
        """Close the readers."""
        for topic in self._topics.values():
            await topic.close()

    async def _take(self, name: str, stretch: InputRange) -> tuple[list[Record], bool]:
        topic = self._topics[name]
        if stretch.is_new:
            self._left[name] = self._left.get(name, 0) - 1
            if self._left[name] <= 0:
                await topic.start_new_topic()
        return await topic.take(stretch)

    async def _asked(self, record: Record) -> Asked:
        body = _json(record.value)
        command_id = body.get("command_id")
        known = command_id if isinstance(command_id, str) else None
        # A command that can't be answered has a dead letter; one that was answered needs none.
        return Asked(
            record.offset,
            record.timestamp_ms,
            str(body.get("type")),
            known,
            has_letter=await self._letters.hold(record.offset),
        )


def _json(value: bytes | None) -> dict[str, Any]:
    try:
        body = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
