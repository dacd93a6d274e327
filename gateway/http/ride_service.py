# SPDX-License-Identifier: Apache-2.0
"""The API besides the stream: request a ride, cancel it, read its state, that of a driver, the status.

The methods raise `HttpProblem` and do not depend on HTTP.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from gateway.http.problems import HttpProblem, bad_request, not_found, unavailable, unprocessable
from gateway.settings import Settings
from gateway.stream.nesting import DEPTH_MAX, is_too_deep
from gateway.updates.city_view import CityView
from taxi.bus import Headers, Outgoing, Producer, Unavailable
from taxi.messages import CancelRide, Command, Place, RequestRide, codec
from taxi.messages.states import ENDED
from taxi.roads.network import RoadNetwork
from taxi.runtime import tracing
from taxi.runtime.env import Env
from taxi.topics import COMMANDS

BODY_BYTES_MAX: Final = 16 << 10
_ANSWER_S: Final = 5.0
_AT_ONCE_MAX: Final = 256
_RETRY_S: Final = 2

RideId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,40}\Z")]

DriverNumber = Annotated[int, Meta(ge=0, lt=2**32)]


class RideRequest(Struct, frozen=True):
    """The body of `POST /api/rides`."""

    ride: RideId
    """Chosen by the client. A request with the same id is a repetition, not another ride."""
    pickup: Place
    dropoff: Place


_REQUEST: Final = msgspec.json.Decoder(RideRequest)


class RideService:
    """Answers from the last cut of the gateway's city view, and writes commands.

    Args:
        env: The service's environment.
        roads: The city's streets.
        view: Returns the current city view; None while the gateway is still reading the log.
    """

    def __init__(
        self, env: Env[Settings], roads: RoadNetwork, city_view: Callable[[], CityView | None]
    ) -> None:
        self._env = env
        self._roads = roads
        self._city_view = city_view
        self.commands_written = 0
        """How many commands are in the log; `InputFaults` checks that the dispatcher decides them."""
        self._producer: Producer | None = None
        self._starting = asyncio.Lock()
        self._waiting = 0

    # --- rides ------------------------------------------------------------------------------------

    async def request_ride(self, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """Write a command that requests a ride.

        Args:
            body: A `RideRequest` as JSON.
            headers: May contain a `traceparent`.

        Returns:
            The answer, after the command is in the log.

        Raises:
            Problem: The body is invalid (400, 422), or the log does not answer or this gateway does not show
                the city (503): then the same request may be sent again.
        """
        self.seen()
        request = _read(body)
        self._check_places(request)
        command = RequestRide(
            command_id=f"request:{request.ride}",
            ride=request.ride,
            rider="browser",
            pickup=request.pickup,
            dropoff=request.dropoff,
        )
        await self.write(command, request.ride, headers)
        return {"ride": request.ride, "status": f"/api/rides/{request.ride}"}

    async def cancel_ride(self, name: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Write a command that cancels a ride; the ride may end otherwise before it is decided.

        Raises:
            Problem: The id is invalid (404), the ride has ended (409), or the log does not answer (503).
        """
        ride = self.seen().city.rides.get(_checked(name))
        if ride is not None and ride.state in ENDED:
            raise HttpProblem(409, "Conflict", f"the ride has ended: {ride.state.name}")
        await self.write(CancelRide(command_id=f"cancel:{name}", ride=name), name, headers)
        return {"ride": name, "status": f"/api/rides/{name}"}

    def ride(self, name: str) -> dict[str, Any]:
        """The state of a ride at the last cut.

        Raises:
            Problem: It is not known (404), which is also so for a moment after its request.
        """
        city_view = self.seen()
        ride = city_view.city.rides.get(_checked(name))
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
            "why": msgspec.to_builtins(city_view.explanations.why(ride)),
            "candidates": [
                {"driver": driver, **seen._asdict()}
                for driver, seen in city_view.explanations.candidates(ride).items()
            ],
            "steps": [step._asdict() for step in city_view.explanations.steps(ride)],
            "fare_cents": city_view.explanations.fare_cents(ride),
            **times,
        }

    # --- drivers ----------------------------------------------------------------------------------

    def driver(self, name: str) -> dict[str, Any]:
        """A driver's shift, ride and trips at the last cut.

        Trips are counted from `counted_since_ms` on: where this gateway began to read the log.

        Raises:
            Problem: It is no number, or the log names no such driver (404).
        """
        city_view = self.seen()
        number = _driver_number(name)
        driver = city_view.city.drivers.get(number)
        if driver is None:
            raise not_found("no such driver, or not yet")
        return {
            "driver": number,
            "status": city_view.city.status(number).name,
            "on_shift": driver.on_shift,
            "leaving": driver.leaving,
            "shift_since_ms": city_view.driver_trips.shift_ms(number) if driver.on_shift else None,
            "ride": driver.ride,
            **city_view.driver_trips.of(number)._asdict(),
            "counted_since_ms": city_view.driver_trips.since_ms,
        }

    def seen(self) -> CityView:
        """The last cut. Raises HttpProblem (503) before the first one."""
        city_view = self._city_view()
        if city_view is None:
            raise unavailable("this gateway is still reading the log", _RETRY_S)
        return city_view

    def _check_places(self, request: RideRequest) -> None:
        for name, place in (("pickup", request.pickup), ("dropoff", request.dropoff)):
            if not self._roads.contains(*place):
                raise unprocessable(
                    f"{name} is not within {self._roads.city.title}, or too far from a street"
                )
        if self._roads.nearest_node(*request.pickup)[0] == self._roads.nearest_node(*request.dropoff)[0]:
            raise unprocessable("pickup and dropoff are at the same corner")

    # --- writing ----------------------------------------------------------------------------------

    async def write(self, command: Command, key: str, headers: Mapping[str, str]) -> None:
        """Write a command, in the trace of the request. Raises HttpProblem (503)."""
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
            # The command may be in the log. A repetition has the same command id, so it is not decided twice.
            raise unavailable("the log does not answer; send the same request again", _RETRY_S) from None
        finally:
            self._waiting -= 1
        self.commands_written += 1
        self._env.metrics.count("gateway_ride_requests_total", outcome="accepted")

    async def _started(self) -> Producer:
        async with self._starting:
            if self._producer is None:
                self._producer = await self._env.bus.producer()
            return self._producer

    # --- status -----------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Counts of drivers and rides at the last cut. Raises HttpProblem (503) before the first one."""
        city_view = self._city_view()
        if city_view is None or city_view.cursor is None:
            raise unavailable("this gateway is still reading the log", _RETRY_S)
        return {
            "city": self._env.settings.city,
            "gateway": {"id": self._env.settings.name or "gateway"},
            "cursor": city_view.cursor._asdict(),
            "at_ms": city_view.cut_ms,
            "speed": city_view.city.time.speed,
            "city_ms": city_view.city.time.at(city_view.cut_ms),
            "scenarios": list(city_view.city.scenarios),
            "drivers": city_view.driver_counts(),
            "rides": city_view.ride_counts(),
        }


def _read(body: bytes) -> RideRequest:
    try:
        if is_too_deep(body.decode()):
            raise bad_request(f"the body is nested more than {DEPTH_MAX} deep")
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


def _driver_number(name: str) -> int:
    try:
        return msgspec.convert(name, DriverNumber, strict=False)
    except msgspec.ValidationError:
        raise not_found("a driver's id is a number") from None


def _trace(command: Command, headers: Mapping[str, str]) -> Headers:
    came = tracing.parse(headers)
    trace = came.child(command.command_id) if came else tracing.root(command.command_id)
    return trace.headers()
