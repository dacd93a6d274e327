# SPDX-License-Identifier: Apache-2.0
"""The fastest way along the streets: a line to draw, its time, and what a trip on it would cost."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

from gateway.http.problems import bad_request, unavailable, unprocessable
from gateway.updates.city_view import CityView
from taxi.messages import Place
from taxi.roads.network import RoadNetwork
from taxi.tariff import fare_cents

STARTS_MAX: Final = 8
HEADING_ANY: Final = -1
_RETRY_S: Final = 2
_Degrees = Annotated[float, Meta(ge=-180, le=180)]
_Heading = Annotated[int, Meta(ge=HEADING_ANY, lt=360)]


class Start(NamedTuple):
    """Where a way begins."""

    place: Place
    heading: int
    """Degrees clockwise from north; HEADING_ANY: any way may be taken from the nearest junction."""


class RouteService:
    """Answers from the city's travel tables, which are mapped or computed at the first request.

    Args:
        roads: The city's streets.
        offload: Runs a call outside of the event loop.
        city_view: Returns the current city view, which has the city's time; None while the gateway is still
            reading the log.
    """

    def __init__(
        self,
        roads: RoadNetwork,
        offload: Callable[[Callable[[], RoadNetwork]], Awaitable[RoadNetwork]],
        city_view: Callable[[], CityView | None],
    ) -> None:
        self._roads, self._offload, self._city_view = roads, offload, city_view
        self._is_preparing = asyncio.Lock()
        self._is_ready = False

    async def route(self, starts: Sequence[str], end: str) -> dict[str, Any]:
        """The fastest way from the nearest of some starts, by driving time.

        Args:
            starts: Up to STARTS_MAX of "longitude,latitude" or "longitude,latitude,heading".
            end: "longitude,latitude".

        Returns:
            `start`: the index of the start; `line`: (longitude, latitude) along the streets from start to
            end; `time_s` in city time at this hour, and its `speed`; `length_m`; `fare_cents` of a trip on
            this way.

        Raises:
            HttpProblem: A place can't be read (400), or is not within the city (422), or the log was not read
                yet (503).
        """
        if not 1 <= len(starts) <= STARTS_MAX:
            raise bad_request(f"`from` is given 1 to {STARTS_MAX} times")
        begins = [_start(text) for text in starts]
        there = _start(end).place
        for place in (*(start.place for start in begins), there):
            if not self._roads.contains(*place):
                raise unprocessable(f"not within {self._roads.city.title}, or too far from a street: {place}")
        city_view = self._city_view()
        if city_view is None:
            raise unavailable("this gateway is still reading the log", _RETRY_S)
        if not self._is_ready:
            async with self._is_preparing:
                await self._offload(self._roads.prepare)
                self._is_ready = True
        time = city_view.city.time
        percent = self._roads.city.drive_percent_at(time.at(city_view.cut_ms))
        return self._fastest(begins, there, percent) | {"speed": time.speed}

    def _fastest(self, begins: Sequence[Start], there: Place, percent: int) -> dict[str, Any]:
        roads = self._roads
        to_node = roads.nearest_node(*there)[0]
        headings = np.array([start.heading for start in begins], np.int32)
        turning = roads.places.turning(np.array([start.place for start in begins]), headings)
        times_s = turning.rest_s + roads.travel_time_s(turning.node, to_node)
        best = int(np.argmin(times_s))
        arcs = roads.route(int(turning.node[best]), to_node)
        line = [begins[best].place]
        for arc in arcs.tolist():
            points, _ = roads.polyline(arc)
            line += [(round(lng, 6), round(lat, 6)) for lng, lat in points.tolist()]
        if not len(arcs):
            line.append(roads.place(to_node))
        time_s = int(times_s[best]) * percent // 100
        length_m = round(roads.length_m(arcs))
        if begins[best].heading != HEADING_ANY:  # the rest of the arc that the car is on
            here, turn = roads.plane.metres([begins[best].place, roads.place(int(turning.node[best]))])
            length_m += round(float(np.hypot(*(turn - here))))
        return {
            "start": best,
            "line": line,
            "time_s": time_s,
            "length_m": length_m,
            "fare_cents": fare_cents(length_m, time_s),
        }


def _start(text: str) -> Start:
    numbers = text.split(",")
    try:
        lng, lat = (msgspec.convert(number, _Degrees, strict=False) for number in numbers[:2])
        heading = msgspec.convert(numbers[2], _Heading, strict=False) if len(numbers) > 2 else HEADING_ANY
    except (ValueError, msgspec.ValidationError) as error:
        raise bad_request(f"a place is longitude,latitude[,heading], not {text[:60]!r}: {error}") from None
    if len(numbers) > 3:
        raise bad_request(f"a place is longitude,latitude[,heading], not {text[:60]!r}")
    return Start((lng, lat), heading)
