# SPDX-License-Identifier: Apache-2.0
"""Commands and fixes as they lie in their topics, read along with the batches that say they read them."""

import json
from typing import Any

from audit.answers import Asked
from audit.findings import Findings
from audit.journal import Heard, Stretch
from taxi.bus import Bus, Record
from taxi.stretches import Stretches
from taxi.topics import COMMANDS, DEAD_LETTERS, LOCATIONS


class Topic:
    """One input. While batches tell of an earlier topic of its name, nothing of it is there."""

    def __init__(self, bus: Bus, topic: str, partition: int, findings: Findings) -> None:
        self._stretches = Stretches(bus, topic, partition)
        self._findings = findings
        self._newest_ms = 0
        self.is_there = True

    async def take(self, stretch: Stretch) -> tuple[list[Record], bool]:
        """The records of a stretch, and whether they are all there."""
        if not self.is_there:
            return [], False
        taken = await self._stretches.take(stretch.first, stretch.next)
        if not taken.is_there:
            text = f"{self._stretches.topic} does not reach {stretch.next}, which was read"
            self._findings.blame("input_beyond_end", text)
        for record in taken.records:
            if record.timestamp_ms < self._newest_ms:
                place = f"{self._stretches.topic}@{record.offset}"
                text = f"{place}: {record.timestamp_ms} after {self._newest_ms}"
                self._findings.blame("append_time_went_back", text)
            self._newest_ms = max(self._newest_ms, record.timestamp_ms)
        return taken.records, taken.is_whole

    async def begin_anew(self) -> None:
        """Another topic of that name from here on."""
        await self.close()
        self.is_there, self._newest_ms = True, 0

    async def close(self) -> None:
        """Let go of the reader."""
        await self._stretches.close()


class Letters:
    """Which commands were put aside. A letter is written before the batch that passes its command."""

    def __init__(self, bus: Bus, partition: int) -> None:
        self._bus = bus
        self._partition = partition
        self._offsets: set[int] = set()
        self._next = 0
        self.may_be_more = True

    async def hold(self, offset: int) -> bool:
        """Whether the command at an offset is among them."""
        if self.may_be_more:
            self.may_be_more = False
            await self._read_on()
        return offset in self._offsets

    async def _read_on(self) -> None:
        bounds = await self._bus.offsets(DEAD_LETTERS, self._partition)
        start = max(self._next, bounds.start)
        if start >= bounds.stable:
            return
        reader = await self._bus.reader(DEAD_LETTERS, self._partition, start)
        try:
            while reader.position < bounds.stable:
                for record in await reader.fetch():
                    letter = _json(record.value)
                    if letter.get("topic") == COMMANDS:
                        self._offsets.add(letter["offset"])
            self._next = reader.position
        finally:
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
        self._letters = Letters(bus, partition)

    def goes_on(self) -> None:
        """The next batch was written after the audit began, and so may be what was put aside before it."""
        self._letters.may_be_more = True

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
            has_letter=await self._letters.hold(record.offset),
        )


def _json(value: bytes | None) -> dict[str, Any]:
    try:
        body = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
