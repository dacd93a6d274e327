# SPDX-License-Identifier: Apache-2.0
"""How GPS devices in cars report: some metres off, delayed, twice, in another order, late after a tunnel.

Off by default, because a city with true positions is easier to check. Every error is drawn from (seed,
driver, time), so a restarted simulator makes the same ones. What a device stored is lost with the process.
"""

from typing import Annotated, Final, NamedTuple

import numpy as np
from msgspec import Meta, Struct

from simulator.draws import Floats, draws, key
from simulator.fleet import FleetPositions, Rows
from taxi.positions.fixes import Longs
from taxi.roads.projection import LocalPlane

Share = Annotated[float, Meta(ge=0, le=1)]

_MINUTE_MS: Final = 60_000
_TENTH_MS: Final = 100


class GpsErrors(Struct, frozen=True, kw_only=True):
    """How large the errors are, and how often they occur. Assumptions, except `off_m`."""

    off_m: Annotated[float, Meta(ge=0)] = 3.2
    """Standard deviation of the error along each axis, metres. Phones are "typically accurate to within a
    4.9 m (16 ft.) radius under open sky" (gps.gov, citing van Diggelen and Enge 2015): if that holds for 68 %
    of the positions, the radius is 1.5 standard deviations."""
    wanders_s: Annotated[float, Meta(gt=0)] = 20.0
    """The error changes smoothly, and after this long it is independent of what it was."""
    heading_deg: Annotated[float, Meta(ge=0)] = 4.0
    """Standard deviation of the heading's error."""
    delay_ms: Annotated[int, Meta(ge=0, le=900)] = 400
    """A position is up to this old when it is sent. Less than a second, so a driver's stay in order."""
    twice_share: Share = 0.01
    """Positions that are sent twice, because an acknowledgement was lost."""
    overtaken_share: Share = 0.01
    """Positions that are sent after the driver's next one."""
    tunnel_share: Share = 1 / 60
    """Minutes of a driver in which there is a tunnel, that is, no connection. After it everything is sent at
    once, oldest first. What is then more than 5 s old does not count."""
    tunnel_s: tuple[float, float] = (3.0, 12.0)


class Reports(NamedTuple):
    """Positions to send, in this order. A row may be there several times or not at all."""

    rows: Rows
    positions: FleetPositions
    at_ms: Longs
    """The device time of each position."""

    def take(self, chosen: Rows) -> "Reports":
        """Those with these indices."""
        positions = FleetPositions._make(column[chosen] for column in self.positions)
        return Reports(self.rows[chosen], positions, self.at_ms[chosen])


class GpsDevices:
    """The devices of a fleet, with what they have stored."""

    def __init__(self, seed: int, plane: LocalPlane, errors: GpsErrors | None = None) -> None:
        """`plane`: that of the city, to turn metres into degrees."""
        self._plane = plane
        self._errors = errors or GpsErrors()
        self._seed = seed
        self._stored: dict[int, list[Reports]] = {}
        """Row → its positions in the tunnel, oldest first; as many as the longest tunnel has seconds."""
        self._overtaken: dict[int, Reports] = {}
        """Row → a position that is sent after the next one."""

    def report(self, rows: Rows, true: FleetPositions, device_ms: int) -> Reports:
        """What the devices of some rows send.

        Args:
            rows: Each at most once.
            true: Where they are.
            device_ms: What their clocks show. It must not decrease from call to call.
        """
        seen = self._measured(rows, true, device_ms)
        in_tunnel = self._in_tunnel(rows, device_ms)
        is_overtaken = self._draw("overtaken", rows, device_ms // _TENTH_MS) < self._errors.overtaken_share
        is_twice = self._draw("twice", rows, device_ms // _TENTH_MS) < self._errors.twice_share
        ordinary = ~in_tunnel & ~is_overtaken
        if self._stored or self._overtaken:
            waiting = np.fromiter((*self._stored, *self._overtaken), np.intp)
            ordinary &= ~np.isin(rows, waiting)
        parts = [seen.take(np.flatnonzero(ordinary))]
        for at in np.flatnonzero(~ordinary).tolist():
            parts += self._with_stored(
                seen.take(np.array([at])), in_tunnel=bool(in_tunnel[at]), is_overtaken=bool(is_overtaken[at])
            )
        parts.append(seen.take(np.flatnonzero(ordinary & is_twice)))
        return _joined(parts)

    def _with_stored(self, one: Reports, *, in_tunnel: bool, is_overtaken: bool) -> list[Reports]:
        """What the device of one row sends now; it may store this position instead."""
        row = int(one.rows[0])
        if in_tunnel:
            before = self._overtaken.pop(row, None)
            self._stored.setdefault(row, []).extend([one] if before is None else [before, one])
            return []
        if row in self._stored:
            return [*self._stored.pop(row), one]
        if row in self._overtaken:
            return [one, self._overtaken.pop(row)]
        if is_overtaken:
            self._overtaken[row] = one
            return []
        return [one]

    def _measured(self, rows: Rows, true: FleetPositions, device_ms: int) -> Reports:
        errors = self._errors
        delay_ms = self._draw("delay", rows, device_ms // _TENTH_MS) * errors.delay_ms
        off_m = np.column_stack([self._wandering(axis, rows, device_ms) for axis in ("east", "north")])
        points = self._plane.degrees(self._plane.metres(true.points) + errors.off_m * off_m)
        heading = true.heading + errors.heading_deg * self._wandering("heading", rows, device_ms)
        at_ms = device_ms - delay_ms.astype(np.int64)
        return Reports(rows, FleetPositions(points, heading % 360, true.speed), at_ms)

    def _wandering(self, name: str, rows: Rows, device_ms: int) -> Floats:
        """Smooth standard normal numbers: at each moment the variance is 1."""
        wanders_ms = int(self._errors.wanders_s * 1000)
        knot, share = device_ms // wanders_ms, (device_ms % wanders_ms) / wanders_ms
        here, next_ = self._normal(name, rows, knot), self._normal(name, rows, knot + 1)
        mixed: Floats = np.cos(share * np.pi / 2) * here + np.sin(share * np.pi / 2) * next_
        return mixed

    def _normal(self, name: str, rows: Rows, knot: int) -> Floats:
        """Box and Muller (1958)."""
        radius = np.sqrt(-2 * np.log1p(-self._draw(name, rows, knot)))
        normal: Floats = radius * np.cos(2 * np.pi * self._draw(f"{name}, angle", rows, knot))
        return normal

    def _in_tunnel(self, rows: Rows, device_ms: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """A tunnel begins and ends in the same minute."""
        low, high = self._errors.tunnel_s
        minute, passed_s = device_ms // _MINUTE_MS, device_ms % _MINUTE_MS / 1000
        lasts_s = low + (high - low) * self._draw("tunnel, length", rows, minute)
        begins_s = (60 - lasts_s) * self._draw("tunnel, begin", rows, minute)
        has_one = self._draw("tunnel", rows, minute) < self._errors.tunnel_share
        return has_one & (begins_s <= passed_s) & (passed_s < begins_s + lasts_s)

    def _draw(self, name: str, rows: Rows, count: int) -> Floats:
        return draws(key(self._seed, "gps", name), rows, count)


def _joined(parts: list[Reports]) -> Reports:
    positions = zip(*(part.positions for part in parts), strict=True)
    return Reports(
        np.concatenate([part.rows for part in parts]),
        FleetPositions._make(map(np.concatenate, positions)),
        np.concatenate([part.at_ms for part in parts]),
    )
