# SPDX-License-Identifier: Apache-2.0
"""What a real broker accepts, or finds damaged on its disk, is passed over by every reader."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka.protocol.produce import ProduceRequest

from taxi.bus import Bus, Damaged, Record
from taxi.bus.kafka.link import KafkaLink
from taxi.bus.kafka.producer import base_offset
from testing.kafka_server import KafkaServer
from testing.record_batches import COMPRESS, HEADER, batch, record
from tests.bus.harness import outgoing, written
from tests.bus.harness_kafka import IMPATIENT, KafkaHarness

pytestmark = pytest.mark.kafka

BATCHES, RECORDS = 60, 10
DAMAGED = 30
"""The batch in the middle: offsets 300 … 309."""


@pytest.fixture
def harness(own_kafka_server: KafkaServer) -> KafkaHarness:
    """On a broker of its own: Kafka may refuse to load a damaged segment at its next start."""
    return KafkaHarness(own_kafka_server)


@asynccontextmanager
async def raw_link(harness: KafkaHarness) -> AsyncIterator[KafkaLink]:
    link = await KafkaLink.open(harness.settings, "raw", IMPATIENT)
    try:
        yield link
    finally:
        await link.close()


async def put(harness: KafkaHarness, topic: str, made: bytes) -> int:
    """Write a batch as it is; its base offset. Raises KafkaError if the broker looks into it."""
    async with raw_link(harness) as link:
        request = ProduceRequest(None, -1, 5_000, [(topic, [(0, made)])])
        return base_offset(await link.ask_leader(topic, 0, request))


async def read_all(bus: Bus, topic: str, offset: int, end: int) -> list[Record]:
    reader = await bus.reader(topic, 0, offset)
    found: list[Record] = []
    while reader.position < end:
        found += await reader.fetch()
    assert reader.position == end
    await reader.close()
    return found


@pytest.mark.parametrize("compression", COMPRESS)
async def test_a_header_whose_name_is_not_utf_8_is_damage_of_its_record_alone(
    harness: KafkaHarness, compression: int
) -> None:
    topic, bus = await harness.topic(append_time=True), await harness.bus()
    records = [record(0, b"0" * 50), record(1, b"{}", headers=((b"\xff\xfe", b"x"),)), record(2, b"2" * 50)]
    await put(harness, topic, batch(0, records, flags=0, compression=compression))
    await written(bus, topic, b"3")
    first, bad, *others = await read_all(bus, topic, 0, 4)
    assert [one.value for one in (first, *others)] == [b"0" * 50, b"2" * 50, b"3"]
    assert isinstance(bad, Damaged)
    assert (bad.offset, bad.end, bad.is_on_disk) == (1, 2, False)
    assert bad.reason.startswith("a header's name is not UTF-8")
    assert bad.timestamp_ms == first.timestamp_ms


async def test_a_record_with_offsets_of_its_own_is_no_other_record(harness: KafkaHarness) -> None:
    """A broker counts the records of an uncompressed batch, and believes their offsets."""
    topic, bus = await harness.topic(append_time=True), await harness.bus()
    await put(harness, topic, batch(0, [record(0, b"a"), record(7, b"b"), record(1, b"c")], flags=0))
    await written(bus, topic, b"d")
    found = await read_all(bus, topic, 0, 4)
    assert [one.offset for one in found] == sorted({one.offset for one in found})
    assert [one.value for one in found if not isinstance(one, Damaged)] == [b"a", b"d"]


def _flip(first: int, size: int) -> Callable[[bytearray, int], None]:
    def flip(data: bytearray, at: int) -> None:
        for index in range(at + first, at + first + size):
            data[index] ^= 0xFF

    return flip


def _length(length: int) -> Callable[[bytearray, int], None]:
    return lambda data, at: struct.pack_into(">i", data, at + 8, length)


DAMAGE = {
    "eight bytes of the payload": _flip(80, 8),
    "the checksum": _flip(17, 4),
    "the magic": _flip(16, 1),
    "the last offset": _flip(23, 4),
    "the length, too high": _length(1 << 24),
    "the length, negative": _length(-5),
    "the length, too low": _length(600),
    "an older format": lambda data, at: data.__setitem__(at + 16, 1),
    "the base offset": lambda data, at: struct.pack_into(">q", data, at, 1 << 40),
    "eight bytes of the header": _flip(4, 8),
}


def spoil(segment: Path, number: int, damage: Callable[[bytearray, int], None]) -> None:
    """In place: the broker has the file open."""
    with segment.open("r+b") as file:
        data = bytearray(file.read())
        at = 0
        for _ in range(number):
            at += 12 + struct.unpack_from(">qi", data, at)[1]
        size = 12 + struct.unpack_from(">qi", data, at)[1]
        assert size > HEADER.size
        damage(data, at)
        file.seek(at)
        file.write(data[at : at + size])


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_a_batch_that_the_disk_damaged_is_passed_over_alone(
    harness: KafkaHarness, own_kafka_server: KafkaServer, damage: Callable[[bytearray, int], None]
) -> None:
    topic, bus = await harness.topic(append_time=True), await harness.bus()
    producer = await bus.producer()
    for number in range(BATCHES):
        await producer.send(topic, 0, outgoing(*[b"%d" % number * 40] * RECORDS))
    spoil(own_kafka_server.segment(topic), DAMAGED, damage)
    first, after, end = DAMAGED * RECORDS, (DAMAGED + 1) * RECORDS, BATCHES * RECORDS
    offsets = (0, first, first + 3, after)
    # At the same time, because a reader waits until it is certain that the broker cannot recover.
    for offset, found in zip(
        offsets, await asyncio.gather(*(read_all(bus, topic, one, end) for one in offsets)), strict=True
    ):
        whole = [one.offset for one in found if not isinstance(one, Damaged)]
        assert whole == [*range(offset, first), *range(max(offset, after), end)], offset
        ranges = [(one.offset, one.end) for one in found if isinstance(one, Damaged)]
        if first < offset < after:
            # The broker looks at the header to find this offset, and may pass over the batch by itself.
            assert ranges in ([], [(offset, after)]), offset
        else:
            assert ranges == ([(max(offset, first), after)] if offset < after else []), offset


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_damage_at_the_end_of_a_log_is_passed_over_and_what_is_written_next_is_read(
    harness: KafkaHarness, own_kafka_server: KafkaServer, damage: Callable[[bytearray, int], None]
) -> None:
    topic, bus = await harness.topic(append_time=True), await harness.bus()
    producer = await bus.producer()
    for number in range(5):
        await producer.send(topic, 0, outgoing(*[b"%d" % number * 40] * RECORDS))
    spoil(own_kafka_server.segment(topic), 4, damage)
    [bad] = await read_all(bus, topic, 40, 50)
    assert isinstance(bad, Damaged)
    assert (bad.offset, bad.end, bad.is_on_disk) == (40, 50, True)
    await producer.send(topic, 0, outgoing(b"next"))
    assert [one.value for one in await read_all(bus, topic, 50, 51)] == [b"next"]
