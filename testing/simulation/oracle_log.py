# SPDX-License-Identifier: Apache-2.0
"""The whole log of a partition of the memory bus, read by the oracle (`taxistream.tools.oracle`).

What its fold can't take is a broken promise, raised as `BrokenLogError`.
"""

from collections.abc import Iterable

import numpy as np

from taxi import topics
from taxi.bus import Record
from taxi.bus.memory.broker import MemoryBroker
from taxi.bus.memory.log import Fate, LogEntry, Partition, Transaction
from taxi.client.rows import DriverRow, RideRow
from taxistream.tools.oracle.city import OracleCity, Rows
from taxistream.tools.oracle.errors import BrokenLogError
from taxistream.tools.oracle.rides import STATES, RideFact

_WORD = 1 << 32


def is_visible(entry: LogEntry) -> bool:
    """Whether a reader of committed records gets it."""
    fate = entry.transaction.fate if entry.transaction else Fate.COMMITTED
    return not entry.is_marker and fate is Fate.COMMITTED


def read_log(broker: MemoryBroker, partition: int, expiry_ms: int) -> OracleCity:
    """Fold both topics; the events as they were written, also if the disk has damaged them since.

    Raises:
        BrokenLogError: The dispatcher broke a rule.
    """
    city = OracleCity(0, expiry_ms, is_whole=True)
    events = broker.partition(topics.EVENTS, partition)
    written = (events.originals.get(at, entry) for at, entry in enumerate(events.entries))
    city.feed_events(_records(written), len(events.entries))
    _check_transactions(city, events)
    positions = broker.partition(topics.LOCATIONS, partition)
    city.feed_positions(_records(positions.entries), len(positions.entries))
    return city


def not_of_the_city(city: OracleCity) -> list[int]:
    """Offsets of what is on the topic of events and is none of the city's events."""
    source = city.events.source
    return [*source.undecodable, *source.foreign, *source.unclosed_foreign()]


def driver_rows(city: OracleCity, rows: Rows) -> dict[int, DriverRow]:
    """The rows of drivers as clients hold them."""
    columns = rows.columns
    slots = np.flatnonzero(columns.held)
    values = zip(*(column[slots].tolist() for column in columns.rest), strict=True)
    return {
        number: DriverRow(number, x, y, _near(at, rows.at_ms), heading, speed, status)
        for number, (x, y, at, heading, speed, status) in zip(city.index.named(slots), values, strict=True)
    }


def ride_rows(rows: Rows) -> dict[str, RideRow]:
    """The rows of rides as clients hold them."""
    return {name: _ride_row(ride) for name, ride in rows.rides.items()}


def _ride_row(ride: RideFact) -> RideRow:
    return RideRow(
        ride.name,
        STATES[ride.state],
        ride.attempt,
        ride.driver,
        ride.pickup,
        ride.dropoff,
        ride.requested_ms,
        ride.assigned_ms,
        ride.arrived_ms,
        ride.started_ms,
        ride.ended_ms,
    )


def _near(low: int, now_ms: int) -> int:
    """The time with these low 32 bits that is nearest to now."""
    return now_ms + (low - now_ms + _WORD // 2) % _WORD - _WORD // 2


def _records(entries: Iterable[LogEntry]) -> list[Record]:
    return [entry.record for entry in entries if is_visible(entry)]


def _check_transactions(city: OracleCity, partition: Partition) -> None:
    """Each batch is one transaction, and no dispatcher writes a batch that does not count.

    But for the very first one, if another producer's batch was complete a moment before.
    """

    def transaction(offset: int) -> Transaction | None:
        return partition.originals.get(offset, partition.entries[offset]).transaction

    for batch in city.events.batches:
        if len({id(transaction(event.offset)) for event in batch}) > 1:
            raise BrokenLogError("a batch in several transactions", batch[-1].body["batch"])
    begins_at = city.events.batches[0][-1].offset if city.events.batches else partition.end
    before_it_noticed = None
    for offset in city.events.source.foreign:
        writer = transaction(offset)
        if writer is None or "taxi.dispatcher" not in writer.transactional_id:
            continue
        if before_it_noticed is None and _is_first(partition, offset):
            ends_at = max(other for other in city.events.source.foreign if transaction(other) is writer)
            before_it_noticed = writer if ends_at > begins_at else None
        if writer is not before_it_noticed:
            raise BrokenLogError("a batch of a dispatcher that does not count", offset)


def _is_first(partition: Partition, offset: int) -> bool:
    """Whether no dispatcher has written an event before."""
    return not any(
        entry.transaction is not None and "taxi.dispatcher" in entry.transaction.transactional_id
        for entry in partition.entries[:offset]
        if is_visible(entry)
    )
