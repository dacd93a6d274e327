# SPDX-License-Identifier: Apache-2.0
"""Reads a city's log from its beginning to a read_committed end taken at the start, or follows it.

It belongs to no group, writes nothing and commits nothing: it runs beside a live system.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing, suppress

from audit.findings import Findings
from audit.inputs import LogInputs
from audit.journal import RECREATED, Journal, parse
from taxi.bus import Bus, BusError, OffsetOutOfRange, Offsets, Record
from taxi.topics import EVENTS


async def audit(bus: Bus, partitions: Iterable[int]) -> Findings:
    """What is wrong with the cities' logs as they are now."""
    findings = Findings()
    for partition in partitions:
        await _audit_city(bus, partition, findings, None)
    return findings


async def follow(bus: Bus, partitions: Iterable[int], on_batch: Callable[[Findings], None]) -> Findings:
    """The same as the logs grow, until cancelled: then what was found by then. Raises what a bus raises."""
    findings = Findings()
    with suppress(asyncio.CancelledError):
        try:
            async with asyncio.TaskGroup() as cities:
                for partition in partitions:
                    cities.create_task(_audit_city(bus, partition, findings, on_batch))
        except* BusError as errors:
            raise errors.exceptions[0] from None
    return findings


async def _audit_city(
    bus: Bus, partition: int, findings: Findings, on_batch: Callable[[Findings], None] | None
) -> None:
    """One city. Begins again, with what is still there, where retention took the very beginning."""
    while True:
        bounds = await bus.offsets(EVENTS, partition)
        before = findings.batches
        try:
            return await _read_through(bus, partition, bounds, findings, on_batch)
        except OffsetOutOfRange:
            if findings.batches > before:
                raise


async def _read_through(
    bus: Bus,
    partition: int,
    bounds: Offsets,
    findings: Findings,
    on_batch: Callable[[Findings], None] | None,
) -> None:
    recreations = await _recreations(bus, partition, bounds)
    journal = Journal(findings, at_birth=bounds.start == 0)
    inputs = LogInputs(bus, partition, findings, recreations)
    try:
        async with aclosing(_events(bus, partition, bounds, follow=on_batch is not None)) as records:
            async for record in records:
                closed = journal.feed(parse(record.offset, record.value))
                if record.offset >= bounds.stable:
                    inputs.goes_on()
                if closed is not None:
                    await journal.judge(closed, inputs)
                    if on_batch is not None:
                        on_batch(findings)
    finally:
        await inputs.close()


async def _events(bus: Bus, partition: int, bounds: Offsets, *, follow: bool) -> AsyncGenerator[Record, None]:
    """In offset order. The end is a position: the last offsets may be control records."""
    reader = await bus.reader(EVENTS, partition, bounds.start)
    try:
        while follow or reader.position < bounds.stable:
            for record in await reader.fetch():
                if follow or record.offset < bounds.stable:
                    yield record
    finally:
        await reader.close()


async def _recreations(bus: Bus, partition: int, bounds: Offsets) -> dict[str, int]:
    """How often each input was made anew: only the newest of a name can be read."""
    found = dict.fromkeys(RECREATED, 0)
    async with aclosing(_events(bus, partition, bounds, follow=False)) as records:
        async for record in records:
            if b'"EpochStarted"' in (record.value or b""):
                body = parse(record.offset, record.value).body or {}
                for name, reasons in RECREATED.items():
                    found[name] += body.get("reason") in reasons
    return found
