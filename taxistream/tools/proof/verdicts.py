# SPDX-License-Identifier: Apache-2.0
"""Follows what the verifier writes about each gateway."""

import asyncio
import json
from typing import NoReturn

from taxi.bus import Bus, BusError, Damaged
from taxi.topics import VERDICTS


class VerdictCount:
    """Counts the verdicts of a city."""

    def __init__(self, bus: Bus, partition: int) -> None:
        self.verdicts = 0
        """Verdicts on one gateway each, that compared something new."""
        self.wrong: list[str] = []
        """What the wrong ones say."""
        self._bus = bus
        self._partition = partition
        self._checked: dict[str, int] = {}

    async def follow(self) -> NoReturn:
        """Read verdicts until cancelled."""
        at = (await self._bus.offsets(VERDICTS, self._partition)).end
        while True:
            try:
                reader = await self._bus.reader(VERDICTS, self._partition, at)
                try:
                    while True:
                        for record in await reader.fetch():
                            at = record.next_offset
                            if not isinstance(record, Damaged) and record.value is not None:
                                self._count(json.loads(record.value)["gateways"])
                finally:
                    await reader.close()
            except BusError:
                await asyncio.sleep(0.2)

    def _count(self, gateways: list[dict[str, object]]) -> None:
        for one in gateways:
            name, checked = str(one["gateway"]), int(str(one["checked"]))
            if checked != self._checked.get(name):
                self.verdicts += 1
            self._checked[name] = checked
            if one.get("rule"):
                self.wrong.append(f"{name}: {one['rule']} {one.get('text', '')}")
