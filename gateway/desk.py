# SPDX-License-Identifier: Apache-2.0
"""What one can ask of a gateway beside the stream: request a ride, cancel it, look at it, see the status.

Plain functions that raise `Problem`: HTTP is only one way to call them.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from gateway.city.view import View
from gateway.problems import Problem, bad_request, not_found, unavailable, unprocessable
from gateway.settings import Settings
from taxi import codec
from taxi.bus import Headers, Outgoing, Producer, Unavailable
from taxi.messages import CancelRide, Command, Place, RequestRide
from taxi.roads import RoadNetwork
from taxi.runtime import tracing
from taxi.runtime.env import Env
from taxi.states import ENDED
from taxi.topics import COMMANDS

BODY_BYTES_MAX: Final = 16 << 10
_ANSWER_S: Final = 5.0
_AT_ONCE_MAX: Final = 256
_RETRY_S: Final = 2

RideId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,40}\Z")]


class RideRequest(Struct, frozen=True):
    """The body of `POST /api/rides`."""

    ride: RideId
    """Chosen by the client: the same id again is the same request again."""
    pickup: Place
    dropoff: Place


_REQUEST: Final = msgspec.json.Decoder(RideRequest)


class Desk:
    """Answers from the view's last cut; writes commands."""

    def __init__(self, env: Env[Settings], roads: RoadNetwork, view: Callable[[], View | None]) -> None:
        self._env = env
        self._roads = roads
        self._view = view
        self._producer: Producer | None = None
        self._starting = asyncio.Lock()
        self._waiting = 0

    # --- rides ------------------------------------------------------------------------------------

    async def request_ride(self, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """Ask for a ride; the answer once the command is in the log. Raises Problem."""
        request = _read(body)
        self._check_places(request)
        command = RequestRide(
            command_id=f"request:{request.ride}",
            ride=request.ride,
            rider="browser",
            pickup=request.pickup,
            dropoff=request.dropoff,
        )
        await self._write(command, request.ride, headers)
        return {"ride": request.ride, "status": f"/api/rides/{request.ride}"}

    async def cancel_ride(self, name: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Ask for its end; it may have another before. Raises Problem."""
        ride = self._seen().city.rides.get(_checked(name))
        if ride is not None and ride.state in ENDED:
            raise Problem(409, "Conflict", f"the ride has ended: {ride.state.name}")
        await self._write(CancelRide(command_id=f"cancel:{name}", ride=name), name, headers)
        return {"ride": name, "status": f"/api/rides/{name}"}

    def ride(self, name: str) -> dict[str, Any]:
        """Where a ride stands. Raises Problem: also in the first moments after its request."""
        view = self._seen()
        ride = view.city.rides.get(_checked(name))
        if ride is None:
            raise not_found("no such ride, or not yet, or it ended some minutes ago")
        times = {
            field: value
            for field in ("requested_ms", "assigned_ms", "arrived_ms", "started_ms", "ended_ms")
            if (value := getattr(ride, field))
        }
        return {
            "ride": ride.ride,
            "state": ride.state.name,
            "attempt": ride.attempt,
            "driver": ride.driver,
            "eta_s": ride.eta_s or None,
            "pickup": ride.pickup,
            "dropoff": ride.dropoff,
            "reason": ride.reason or None,
            "why": msgspec.to_builtins(view.stories.why(ride)),
            "fare_cents": view.stories.fare_cents(ride),
            **times,
        }

    def _seen(self) -> View:
        view = self._view()
        if view is None:
            raise unavailable("this gateway is still reading the log", _RETRY_S)
        return view

    def _check_places(self, request: RideRequest) -> None:
        for name, place in (("pickup", request.pickup), ("dropoff", request.dropoff)):
            if not self._roads.contains(*place):
                raise unprocessable(
                    f"{name} is not within {self._roads.city.title}, or too far from a street"
                )
        if self._roads.nearest_node(*request.pickup)[0] == self._roads.nearest_node(*request.dropoff)[0]:
            raise unprocessable("pickup and dropoff are at the same corner")

    # --- writing ----------------------------------------------------------------------------------

    async def _write(self, command: Command, key: str, headers: Mapping[str, str]) -> None:
        record = Outgoing(key.encode(), codec.encode(command), _trace(command, headers))
        if self._waiting >= _AT_ONCE_MAX:
            raise unavailable("too many requests wait for the log", _RETRY_S)
        self._waiting += 1
        try:
            async with asyncio.timeout(_ANSWER_S):
                await (await self._started()).send(COMMANDS, self._env.settings.own().partition, [record])
        except (Unavailable, TimeoutError) as error:
            self._env.metrics.count("gateway_ride_requests_total", outcome="unavailable")
            self._env.log.warning("a command could not be written", reason=str(error) or "no answer in time")
            # It may be in the log all the same: the same command again is a repeat, not a second one.
            raise unavailable("the log does not answer; send the same request again", _RETRY_S) from None
        finally:
            self._waiting -= 1
        self._env.metrics.count("gateway_ride_requests_total", outcome="accepted")

    async def _started(self) -> Producer:
        async with self._starting:
            if self._producer is None:
                self._producer = await self._env.bus.producer()
            return self._producer

    # --- status -----------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Counts at the last cut. Raises Problem while there is none."""
        view = self._view()
        if view is None or view.cursor is None:
            raise unavailable("this gateway is still reading the log", _RETRY_S)
        return {
            "city": self._env.settings.city,
            "gateway": {"id": self._env.settings.name or "gateway"},
            "cursor": view.cursor._asdict(),
            "at_ms": view.at_ms,
            "drivers": view.driver_counts(),
            "rides": view.ride_counts(),
        }


def _read(body: bytes) -> RideRequest:
    try:
        return _REQUEST.decode(body)
    except msgspec.ValidationError as error:
        raise unprocessable(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"the body is no JSON: {error}") from None


def _checked(name: str) -> str:
    try:
        return msgspec.convert(name, RideId)
    except msgspec.ValidationError:
        raise not_found("a ride's id is 1 to 40 of A-Z a-z 0-9 _ -") from None


def _trace(command: Command, headers: Mapping[str, str]) -> Headers:
    came = tracing.parse(headers)
    trace = came.child(command.command_id) if came else tracing.root(command.command_id)
    return trace.headers()
