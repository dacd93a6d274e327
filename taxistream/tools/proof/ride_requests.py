# SPDX-License-Identifier: Apache-2.0
"""Requests rides during the kills, and compares what was acknowledged with what the log says in the end."""

import asyncio
import json
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from contextlib import suppress
from http.client import HTTPException
from typing import Final

from taxi.bus import Bus, Damaged
from taxi.bus.ranges import RangeReader
from taxi.topics import EVENTS

_PICKUP: Final = (-73.9857, 40.7580)
_DROPOFF: Final = (-73.9776, 40.7527)
_PAUSE_S: Final = 0.4
_RETRY_S: Final = 0.2
_ANSWER_S_MAX: Final = 10.0
_ANSWERS: Final = ("RideRequested", "CommandRejected")


class RideRequests:
    """Request rides at `url` until stopped. Each request is sent again until a gateway acknowledges it."""

    def __init__(self, url: str, riders: int) -> None:
        self.acknowledged: set[str] = set()
        """Rides whose request a gateway acknowledged (202)."""
        self.retries = 0
        """How often a request failed, was refused because the log did not answer, or got no answer."""
        self.name = f"proof-{uuid.uuid4().hex[:8]}"
        """Begins the id of each ride: another proof on the same log has other rides."""
        self._url = url
        self._riders = riders
        self._is_over = False
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    async def run(self) -> None:
        """Request rides until `stop`, and then until each one that was begun is acknowledged."""
        async with asyncio.TaskGroup() as group:
            for rider in range(self._riders):
                group.create_task(self._request_rides(rider))

    def stop(self) -> None:
        self._is_over = True

    async def _request_rides(self, rider: int) -> None:
        number = 0
        while not self._is_over:
            ride = f"{self.name}-{rider}-{number}"
            while not await asyncio.to_thread(self._request, ride):
                self.retries += 1
                await asyncio.sleep(_RETRY_S)
            self.acknowledged.add(ride)
            number += 1
            await asyncio.sleep(_PAUSE_S)

    def _request(self, ride: str) -> bool:
        """Send a request. Returns whether it was acknowledged."""
        body = json.dumps({"ride": ride, "pickup": _PICKUP, "dropoff": _DROPOFF}).encode()
        request = urllib.request.Request(  # noqa: S310 - the demo's own address
            f"{self._url}/api/rides", body, {"Content-Type": "application/json"}, method="POST"
        )
        with suppress(OSError, HTTPException), self._direct.open(request, timeout=_ANSWER_S_MAX) as answer:
            return bool(answer.status == 202)
        return False


async def answers(bus: Bus, partition: int, name: str) -> Counter[str]:
    """Ride → how often its request was answered on the whole log, for rides whose id begins with `name`."""
    found: Counter[str] = Counter()
    bounds = await bus.offsets(EVENTS, partition)
    reader = await bus.reader(EVENTS, partition, bounds.start)
    try:
        async for records in RangeReader(reader, bounds.stable):
            for record in records:
                if isinstance(record, Damaged) or record.value is None:
                    continue
                event = json.loads(record.value)
                command = event.get("command_id") or ""
                if event["type"] in _ANSWERS and command.startswith(f"request:{name}-"):
                    found[command.removeprefix("request:")] += 1
    finally:
        await reader.close()
    return found


async def answers_to_all(bus: Bus, partition: int, requests: RideRequests, within_s: float) -> Counter[str]:
    """As `answers`, once every ride that was acknowledged has one, or after `within_s`."""
    deadline_s = time.monotonic() + within_s
    while True:
        found = await answers(bus, partition, requests.name)
        if requests.acknowledged <= found.keys() or time.monotonic() > deadline_s:
            return found
        await asyncio.sleep(1.0)
