# SPDX-License-Identifier: Apache-2.0
"""Plays a fault script of tests/golden/scripts against the Python client, in virtual time."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.frames import Close

from taxi.client.protocol import SERVING, LinkState
from taxi.client.stream import CityStream, StreamRefusedError
from testing.virtual_time import SimLoop

SCRIPTS = Path(__file__).parents[2] / "golden" / "scripts"
Json = dict[str, Any]


class FakeSocket:
    """One that the script opens, speaks on and closes."""

    def __init__(self, number: int, deeds: deque[Json]) -> None:
        self.number = number
        self.opening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.incoming: asyncio.Queue[bytes | str | None] = asyncio.Queue()
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self.left = False
        self._deeds = deeds

    async def send(self, message: str, /) -> None:
        self._deeds.append({"says": self.number, "message": json.loads(message)})

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while (message := await self.incoming.get()) is not None:
            yield message
        assert self.close_code is not None
        close = Close(self.close_code, self.close_reason or "")
        raise (ConnectionClosedOK if self.close_code == 1000 else ConnectionClosedError)(close, None)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """By the client; closing what the other side closed is no deed."""
        if self.close_code is None and not self.left:
            self.left = True
            self._deeds.append({"closes": self.number})


class Player:
    """The world around a client, and what it has done that no step has expected yet."""

    def __init__(self, client: Json) -> None:
        self.sockets: list[FakeSocket] = []
        self.deeds: deque[Json] = deque()
        self.feed: list[int] = []
        self._tokens = deque(client.get("tokens", []))
        self.city = CityStream(
            self._open,
            city=client["city"],
            view=tuple(client["view"]) if client.get("view") else None,
            token=self._token if self._tokens else None,
            give_up_s=None,
            chance=lambda: client["luck"],
        )
        self._watching = asyncio.ensure_future(self._watch())

    def _token(self) -> str:
        token: str = self._tokens.popleft() if len(self._tokens) > 1 else self._tokens[0]
        return token

    async def _open(self) -> FakeSocket:
        socket = FakeSocket(len(self.sockets) + 1, self.deeds)
        self.sockets.append(socket)
        self.deeds.append({"opens": socket.number})
        try:
            await socket.opening
        except asyncio.CancelledError:
            await socket.close()
            raise
        return socket

    async def _watch(self) -> None:
        with suppress(StreamRefusedError):
            async for cut in self.city:
                self.feed += [offset for offset, *_ in cut.feed]

    async def play(self, steps: list[Json]) -> None:
        """A script, from beginning to end."""
        await self.go(steps)
        await self.end()

    async def go(self, steps: list[Json]) -> None:
        """Every step in order; raises AssertionError, naming the step."""
        await settle()
        for number, step in enumerate(steps):
            try:
                await self._step(step)
            except AssertionError as error:
                raise AssertionError(f"step {number} {shown(step)}: {error}") from None

    async def end(self) -> None:
        """Nothing more was done than was expected."""
        assert not self.deeds, f"not expected: {list(self.deeds)}"
        self._watching.cancel()
        await self.city.aclose()

    async def _step(self, step: Json) -> None:
        if expected := next((deed for deed in ("opens", "says", "closes") if deed in step), None):
            self._expect(expected, step)
        elif "holds" in step:
            self._hold(step["holds"])
        else:
            assert not self.deeds, f"not expected: {list(self.deeds)}"
            await self._happen(step)
            await settle()

    def _expect(self, kind: str, step: Json) -> None:
        """In order for each socket."""
        deed = next((deed for deed in self.deeds if step[kind] in deed.values()), None)
        assert deed is not None, f"it did only {list(self.deeds)}"
        self.deeds.remove(deed)
        assert cleaned(deed) == cleaned(step)

    def _hold(self, holds: Json) -> None:
        city, line = self.city, self.city.state
        # `connecting`, `waiting`… are listed by their names.
        now: Json = {
            "line": "live" if line in SERVING else line.value,
            "trusted": city.trusted,
            "cursor": str(city.cursor) if city.cursor else None,
            "view": list(city.view) if city.view else None,
            "drivers": {
                str(number): [
                    row.lng_e5,
                    row.lat_e5,
                    row.at_ms & 0xFFFFFFFF,
                    row.heading,
                    row.speed,
                    row.status,
                ]
                for number, row in sorted(city.drivers.items())
            },
            "rides": {ride: row.state for ride, row in city.rides.items()},
            "hash": [*city.hash],
            "feed": self.feed,
            "faults": [fault.code for fault in city.faults],
            "scenarios": [scenario.name for scenario in city.scenarios],
            "periods": [list(period) for period in city.city_time.periods],
        }
        for name, value in holds.items():
            if name == "view" and not now["trusted"]:
                continue  # rows that are no picture are of no view
            assert now[name] == value, f"{name}: {now[name]}"

    async def _happen(self, step: Json) -> None:
        if "open" in step:
            self.sockets[step["open"] - 1].opening.set_result(None)
        elif "say" in step:
            self.sockets[step["say"] - 1].incoming.put_nowait(json.dumps(step["message"]))
        elif "cut" in step:
            self.sockets[step["cut"] - 1].incoming.put_nowait(bytes.fromhex(step["hex"]))
        elif "close" in step:
            self._close(self.sockets[step["close"] - 1], step)
        elif "look" in step:
            self.city.request_view(tuple(step["look"]) if step["look"] else None)
        else:
            # A hair more: sums of floats must not leave a timer due in the next step.
            await asyncio.sleep(step["wait_ms"] / 1000 + 1e-7)

    def _close(self, socket: FakeSocket, step: Json) -> None:
        socket.close_code, socket.close_reason = step["code"], step.get("reason", "")
        if not socket.opening.done():
            close = Close(socket.close_code or 1006, socket.close_reason or "")
            socket.opening.set_exception(ConnectionClosedError(close, None))
        socket.incoming.put_nowait(None)


async def settle() -> None:
    """Let everybody do what is to be done now."""
    for _ in range(100):
        await asyncio.sleep(0)


def cleaned(deed: Json) -> Json:
    """Without nulls, which are as good as absent."""
    message = {name: value for name, value in deed.get("message", {}).items() if value is not None}
    return {**deed, "message": message}


def shown(step: Json) -> str:
    return json.dumps({name: value for name, value in step.items() if name != "hex"})


def play(path: Path) -> None:
    """One script, from its beginning to its end."""
    script: Json = json.loads(path.read_text("utf-8"))
    loop = SimLoop(1)

    async def scenario() -> None:
        await Player(script["client"]).play(script["steps"])

    try:
        loop.run_until_complete(scenario())
        assert loop.errors == []
    finally:
        loop.close()


__all__ = ["SCRIPTS", "LinkState", "play"]
