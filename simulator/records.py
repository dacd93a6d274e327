# SPDX-License-Identifier: Apache-2.0
"""What the simulator says, as records."""

from collections.abc import Iterable

import numpy as np
from msgspec import structs

from simulator.fleet import FleetPositions, Rows
from taxi.bus import Outgoing
from taxi.messages import AnyCommand, Fix, subject_of
from taxi.messages.codec import encode
from taxi.positions.fixes import Longs
from taxi.runtime import tracing


def fix_records(rows: Rows, sight: FleetPositions, device_ms: int | Longs) -> list[Outgoing]:
    """A position for each row; driver numbers are rows + 1. `device_ms`: one time for all or for each."""
    columns = (
        (rows + 1).tolist(),
        np.broadcast_to(device_ms, rows.shape).tolist(),
        sight.points.round(6).tolist(),
        (sight.heading.round().astype(int) % 360).tolist(),
        sight.speed.round(1).tolist(),
    )
    fixes = [
        Fix(driver=driver, at_ms=at_ms, lng=lng, lat=lat, heading=heading, speed=speed)
        for driver, at_ms, (lng, lat), heading, speed in zip(*columns, strict=True)
    ]
    return [Outgoing(b"%d" % fix.driver, encode(fix)) for fix in fixes]


def asked_at(commands: Iterable[AnyCommand], device_ms: int) -> list[AnyCommand]:
    """The same, saying when they were asked for: once, however often they are sent."""
    return [structs.replace(command, asked_ms=device_ms) for command in commands]


def command_record(command: AnyCommand, cause: tracing.Trace | None) -> Outgoing:
    """A command in the trace of what it answers, else in one of its own."""
    trace = cause.child(command.command_id) if cause else tracing.root(command.command_id)
    return Outgoing(subject_of(command).encode(), encode(command), trace.headers())
