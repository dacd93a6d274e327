# SPDX-License-Identifier: Apache-2.0
"""Checks one update against the log: a client's rows after it must equal the log's rows at its cursor."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from taxistream.tools.loadtest.decoding import Block, DecodedUpdate, NotAnUpdateError, read_update
from taxistream.tools.oracle.city import Columns, Cursor, Mask, OracleCity, Rows
from taxistream.tools.oracle.driver_index import UNKNOWN
from taxistream.tools.oracle.grid import Area

_SECOND_MS: Final = 1_000
_NAMED_MAX: Final = 3

Violation = tuple[str, str]
"""(rule, details)."""


@dataclass(frozen=True)
class ReceivedUpdate:
    """An update that a client received. Before it, the client had the rows of `old` at `since`."""

    message: bytes
    since: Cursor | None
    """None for an image: the client discarded its rows."""
    to: Cursor
    old: Area
    area: Area
    epoch: str


class Unready(Exception):  # noqa: N818 - a state
    """The oracle has not read the log up to the update's cursor."""


@dataclass(frozen=True)
class Judged:
    """The result of a check."""

    verdicts: list[Violation]
    driver_updates: int = 0


def judge(city: OracleCity, sight: ReceivedUpdate) -> Judged:
    """Check an update and return all rules that it breaks. Raises Unready."""
    if not city.knows(sight.to):
        raise Unready
    try:
        update = read_update(sight.message)
    except NotAnUpdateError as error:
        return Judged([("bytes", f"{error}, at {sight.to}")])
    if city.events.at(sight.to[1]) is None:
        return Judged([("half_batch", f"ev {sight.to[1]} is the end of no batch")], update.driver_updates)
    if not city.remembers(sight.to) or (sight.since is not None and not city.remembers(sight.since)):
        return Judged([], update.driver_updates)  # too old to be checked
    verdicts = list(_verdicts(city, sight, update))
    return Judged([(rule, f"{text}, in {_name(sight)}") for rule, text in verdicts], update.driver_updates)


def _name(sight: ReceivedUpdate) -> str:
    return f"the update {sight.since} → {sight.to} of {sight.area or 'the city'}"


def _verdicts(city: OracleCity, sight: ReceivedUpdate, update: DecodedUpdate) -> Iterator[Violation]:
    now = city.rows(sight.to)
    before = None if sight.since is None else city.rows(sight.since)
    mask, lanes = now.within(sight.area)
    header = update.header
    if header.epoch_check != zlib.crc32(now.epoch.encode()) or now.epoch != sight.epoch:
        yield "epoch", f"a check of {header.epoch_check} for {now.epoch}, and ready has {sight.epoch}"
    if header.at_ms != now.at_ms:
        yield "wrong_cut_time", f"{header.at_ms} sent, {now.at_ms} is log time"
    if (header.lane_a, header.lane_b) != lanes:
        yield "wrong_hash", f"{header.lane_a:08x} {header.lane_b:08x} sent, {lanes[0]:08x} {lanes[1]:08x} is"
    held = (int(mask.sum()), len(now.rides))
    if (header.drivers_held, header.rides_held) != held:
        yield "wrong_counts", f"{(header.drivers_held, header.rides_held)} sent, {held} are"
    yield from _drivers(city, sight, update, before, now.columns, mask)
    yield from _rides(update, before, now)
    yield from _feed(city, sight, update)


# --- drivers ----------------------------------------------------------------------------------------


def _drivers(
    city: OracleCity,
    sight: ReceivedUpdate,
    update: DecodedUpdate,
    before: Rows | None,
    wanted: Columns,
    mask: Mask,
) -> Iterator[Violation]:
    if before is None:
        old = wanted.copy(np.zeros(len(mask), bool))
    else:
        old = before.columns.copy(before.within(sight.old)[0])
    rows = old.copy(old.held)
    yield from _applied(city, update.blocks, rows)
    extra, lacking = rows.held & ~mask, mask & ~rows.held
    both = rows.held & mask
    differs = np.zeros(len(mask), bool)
    for have, want in zip(rows.rest, wanted.rest, strict=True):
        differs |= have != want
    back = both & old.held & ((rows.at - old.at).astype(np.int32) < 0)
    for rule, found in (
        ("ghost_row", extra),
        ("missing_row", lacking),
        ("wrong_row", both & differs),
        ("fix_went_back", back),
    ):
        if found.any():
            yield rule, f"{int(found.sum())} of drivers, as {_shown(city, rows, wanted, found)}"


def _shown(city: OracleCity, rows: Columns, wanted: Columns, found: Mask) -> str:
    slots = np.flatnonzero(found)[:_NAMED_MAX]
    numbers = city.index.named(slots)
    return "; ".join(
        f"{number}: {[int(c[slot]) for c in rows.rest]} for {[int(c[slot]) for c in wanted.rest]}"
        for number, slot in zip(numbers, slots, strict=True)
    )


def _applied(city: OracleCity, blocks: list[Block], rows: Columns) -> Iterator[Violation]:
    """Apply an update's blocks to the rows: all removals first, as docs/protocol.md says."""
    for block in blocks:
        slots = city.index.find(block.gone)
        rows.held[slots[slots != UNKNOWN]] = False
    for block in blocks:
        slots, known = yield from _slots(city, block.number, "set")
        for column, values in zip(rows.rest, _values(block), strict=True):
            column[slots] = values[known]
        rows.held[slots] = True
    for block in blocks:
        yield from _changed(city, block, rows)


def _values(block: Block) -> tuple[npt.NDArray[Any], ...]:
    return block.x, block.y, block.at, block.heading, block.speed, block.status


def _changed(city: OracleCity, block: Block, rows: Columns) -> Iterator[Violation]:
    """Apply the changes of rows that the client has."""
    slots, known = yield from _slots(city, block.status_changed, "status")
    if not rows.held[slots].all():
        yield "ghost_row", f"{int((~rows.held[slots]).sum())} statuses of drivers who are not held"
    rows.status[slots] = block.changed_to[known]
    moves = block.moves
    slots, known = yield from _slots(city, moves.number, "moved")
    if not rows.held[slots].all():
        yield "ghost_row", f"{int((~rows.held[slots]).sum())} moves of drivers who are not held"
    rows.x[slots] += moves.dx[known]
    rows.y[slots] += moves.dy[known]
    rows.at[slots] += moves.dt[known].view(np.uint32) + np.uint32(_SECOND_MS)
    rows.heading[slots] = moves.heading[known]
    rows.speed[slots] = moves.speed[known]


def _slots(city: OracleCity, numbers: npt.NDArray[np.uint32], kind: str) -> Any:
    slots = city.index.find(numbers)
    known = slots != UNKNOWN
    if not known.all():
        strangers = numbers[~known][:_NAMED_MAX].tolist()
        yield "ghost_row", f"{kind} rows of drivers that the log does not know: {strangers}"
    return slots[known], known


# --- rides and feed ---------------------------------------------------------------------------------


def _rides(update: DecodedUpdate, before: Rows | None, now: Rows) -> Iterator[Violation]:
    rides = {} if before is None else dict(before.ride_records)
    for name in update.rides_gone:
        rides.pop(name, None)
    rides |= update.rides
    if rides != now.ride_records:
        names = [name for name in {**rides, **now.rides} if rides.get(name) != now.ride_records.get(name)]
        yield "wrong_ride", f"{len(names)} of them, as {', '.join(names[:_NAMED_MAX])}"


def _feed(city: OracleCity, sight: ReceivedUpdate, update: DecodedUpdate) -> Iterator[Violation]:
    wanted = [] if sight.since is None else city.events.feed_between(sight.since[1], sight.to[1])
    have, want = ([entry[0] for entry in feed] for feed in (update.feed, wanted))
    if have != want:
        yield "feed", f"events {have} sent, {want} on the log"
    elif update.feed != wanted:
        yield "feed", f"{update.feed} sent, {wanted} on the log"
