# SPDX-License-Identifier: Apache-2.0
"""Commands and fixes as they lie in their topics, read along with the batches that say they read them."""

import json
from collections import deque
from typing import Any

from audit.answers import Asked
from audit.findings import Findings
from audit.journal import Heard, Stretch
from taxi.bus import Bus, OffsetOutOfRange, Offsets, Reader, Record
from taxi.topics import COMMANDS, DEAD_LETTERS, LOCATIONS

_AT_ONCE = 20_000


class Topic:
    """One input, read forward once. What retention took, or another topic of that name, is not there."""

    def __init__(self, bus: Bus, topic: str, partition: int, findings: Findings) -> None:
        self._bus = bus
        self._topic = topic
        self._partition = partition
        self._findings = findings
        self._reader: Reader | None = None
        self._in_hand: deque[Record] = deque()
        self._newest_ms = 0
        self._bounds: Offsets | None = None
        self.is_there = True
        """False while batches tell of an earlier topic of that name."""

    async def take(self, stretch: Stretch) -> tuple[list[Record], bool]:
        """The records of a stretch, and whether they are all there."""
        if not self.is_there or stretch.next <= stretch.first:
            return [], self.is_there
        bounds = await self._bounds_with(stretch.next)
        if stretch.next > bounds.end:
            text = f"{self._topic} ends at {bounds.end}, and {stretch.next} was read"
            self._findings.blame("input_beyond_end", text)
            return [], False
        try:
            records = await self._read(stretch, bounds.start)
        except OffsetOutOfRange:  # retention is faster than we are
            await self.close()
            return [], False
        return records, bounds.start <= stretch.first

    async def _bounds_with(self, offset: int) -> Offsets:
        """Where the topic begins and ends; asked again only where it has grown."""
        if self._bounds is None or offset > self._bounds.end:
            self._bounds = await self._bus.offsets(self._topic, self._partition)
        return self._bounds

    async def _read(self, stretch: Stretch, start: int) -> list[Record]:
        if self._reader is None:
            first = max(start, stretch.first)
            self._reader = await self._bus.reader(self._topic, self._partition, first)
        while self._reader.position < stretch.next:
            records = await self._reader.fetch(max_records=_AT_ONCE)
            self._in_hand += records
            self._check_times(records)
        taken = []
        while self._in_hand and self._in_hand[0].offset < stretch.next:
            record = self._in_hand.popleft()
            if record.offset >= stretch.first:
                taken.append(record)
        return taken

    def _check_times(self, records: list[Record]) -> None:
        for record in records:
            if record.timestamp_ms < self._newest_ms:
                text = f"{self._topic}@{record.offset}: {record.timestamp_ms} after {self._newest_ms}"
                self._findings.blame("append_time_went_back", text)
            self._newest_ms = max(self._newest_ms, record.timestamp_ms)

    async def begin_anew(self) -> None:
        """Another topic of that name from here on."""
        await self.close()
        self.is_there, self._newest_ms = True, 0

    async def close(self) -> None:
        """Let go of the reader."""
        self._in_hand.clear()
        self._bounds = None
        if self._reader is not None:
            reader, self._reader = self._reader, None
            await reader.close()


class LogInputs:
    """Both inputs of one city."""

    def __init__(self, bus: Bus, partition: int, findings: Findings, recreations: dict[str, int]) -> None:
        """`recreations`: input → how often the log says that its topic was made anew."""
        self._bus = bus
        self._partition = partition
        self._findings = findings
        self._left = dict(recreations)
        self._topics = {
            "commands": Topic(bus, COMMANDS, partition, findings),
            "locations": Topic(bus, LOCATIONS, partition, findings),
        }
        for name, topic in self._topics.items():
            topic.is_there = not self._left.get(name)
        self._letters: set[int] | None = None

    async def commands(self, stretch: Stretch) -> tuple[list[Asked], Heard]:
        """What was asked."""
        records, whole = await self._take("commands", stretch)
        asked = [await self._asked(record) for record in records]
        return asked, Heard(whole, max((one.append_ms for one in asked), default=0))

    async def locations(self, stretch: Stretch) -> Heard:
        """When positions came."""
        records, whole = await self._take("locations", stretch)
        self._findings.fixes += len(records)
        return Heard(whole, max((record.timestamp_ms for record in records), default=0))

    async def close(self) -> None:
        """Let go of the readers."""
        for topic in self._topics.values():
            await topic.close()

    async def _take(self, name: str, stretch: Stretch) -> tuple[list[Record], bool]:
        topic = self._topics[name]
        if stretch.is_new:
            self._left[name] = self._left.get(name, 0) - 1
            if self._left[name] <= 0:
                await topic.begin_anew()
        return await topic.take(stretch)

    async def _asked(self, record: Record) -> Asked:
        body = _json(record.value)
        command_id = body.get("command_id")
        known = command_id if isinstance(command_id, str) else None
        # Whoever can't be answered was put aside; whoever was answered needs no letter.
        return Asked(
            record.offset,
            record.timestamp_ms,
            str(body.get("type")),
            known,
            has_letter=record.offset in await self._dead_letters(),
        )

    async def _dead_letters(self) -> set[int]:
        """Offsets of commands that were put aside. They are written before the batch that passes them."""
        if self._letters is None:
            self._letters = await self._read_letters()
        return self._letters

    async def _read_letters(self) -> set[int]:
        bounds = await self._bus.offsets(DEAD_LETTERS, self._partition)
        offsets: set[int] = set()
        reader = await self._bus.reader(DEAD_LETTERS, self._partition, bounds.start)
        try:
            while reader.position < bounds.stable:
                for record in await reader.fetch():
                    letter = _json(record.value)
                    if letter.get("topic") == COMMANDS:
                        offsets.add(letter["offset"])
        finally:
            await reader.close()
        return offsets


def _json(value: bytes | None) -> dict[str, Any]:
    try:
        body = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
