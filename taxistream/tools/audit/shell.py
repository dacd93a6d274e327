# SPDX-License-Identifier: Apache-2.0
"""Reads the logs of cities up to their last stable offsets at the start, or follows them.

It belongs to no consumer group and writes nothing, so it can run beside a live system.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing, suppress

from taxi.bus import Bus, BusError, Damaged, OffsetOutOfRange, Offsets, Record
from taxi.bus.open_transactions import what_is_held_back
from taxi.bus.ranges import RangeReader
from taxi.topics import EVENTS
from taxistream.tools.audit.findings import AuditFindings
from taxistream.tools.audit.inputs import LogInputs
from taxistream.tools.audit.journal import Closed, Journal, parse
from taxistream.tools.audit.producers import Producers, ProducerSurvey, Surveyor, producer_of


async def audit(bus: Bus, partitions: Iterable[int]) -> AuditFindings:
    """Check the logs of cities as they are now. Raises BusError."""
    findings = AuditFindings()
    for partition in partitions:
        await _audit_city(bus, partition, findings, None)
    return findings


async def follow(
    bus: Bus, partitions: Iterable[int], on_batch: Callable[[AuditFindings], None]
) -> AuditFindings:
    """Check the logs of cities and follow them until cancelled.

    Args:
        bus: The log.
        partitions: The cities.
        on_batch: Called with the findings so far after each batch.

    Returns:
        The findings, when the task is cancelled.

    Raises:
        BusError: Raised by the bus.
    """
    findings = AuditFindings()
    with suppress(asyncio.CancelledError):
        try:
            async with asyncio.TaskGroup() as cities:
                for partition in partitions:
                    cities.create_task(_audit_city(bus, partition, findings, on_batch))
        except* BusError as errors:
            raise errors.exceptions[0] from None
    return findings


async def _audit_city(
    bus: Bus, partition: int, findings: AuditFindings, on_batch: Callable[[AuditFindings], None] | None
) -> None:
    """Check one city. If retention deletes the beginning before it is read, begin again with what is left."""
    while True:
        bounds = await bus.offsets(EVENTS, partition)
        before = findings.batches
        held_back = await what_is_held_back(bus, EVENTS, partition, bounds)
        try:
            await _read_through(bus, partition, bounds, findings, on_batch)
            findings.held_back += [held_back] if held_back is not None else []
            return
        except OffsetOutOfRange:
            if findings.batches > before:
                raise


async def _read_through(
    bus: Bus,
    partition: int,
    bounds: Offsets,
    findings: AuditFindings,
    on_batch: Callable[[AuditFindings], None] | None,
) -> None:
    survey = await _survey(bus, partition, bounds)
    journal = Journal(findings, at_birth=bounds.start == 0)
    producers = Producers(survey.producer)
    inputs = LogInputs(bus, partition, findings, survey.recreations)
    try:
        async with aclosing(_events(bus, partition, bounds, follow=on_batch is not None)) as records:
            async for record in records:
                if record.offset >= bounds.stable:
                    inputs.goes_on()
                for closed in _closed_by(record, journal, producers):
                    await journal.judge(closed, inputs)
                    if on_batch is not None:
                        on_batch(findings)
    finally:
        producers.close()
        findings.foreign_events += producers.passed_over
        await inputs.close()


def _closed_by(record: Record, journal: Journal, producers: Producers) -> list[Closed]:
    """The batches of the city that this record closes."""
    if isinstance(record, Damaged) and record.is_on_disk:
        journal.miss(record.next_offset - record.offset)
        return []
    counts = producers.take(parse(record.offset, record.value), producer_of(record))
    return [closed for found in counts if (closed := journal.feed(found)) is not None]


async def _events(bus: Bus, partition: int, bounds: Offsets, *, follow: bool) -> AsyncGenerator[Record, None]:
    """The events in offset order: to the stable end of `bounds`, or for ever."""
    reader = await bus.reader(EVENTS, partition, bounds.start)
    try:
        async for records in RangeReader(reader, bounds.stable):
            for record in records:
                yield record
        while follow:
            for record in await reader.fetch():
                yield record
    finally:
        await reader.close()


async def _survey(bus: Bus, partition: int, bounds: Offsets) -> ProducerSurvey:
    """Find the city's producer, and how often each input topic was created again."""
    surveyor = Surveyor()
    async with aclosing(_events(bus, partition, bounds, follow=False)) as records:
        async for record in records:
            surveyor.add(record)
    return surveyor.survey(at_birth=bounds.start == 0)
