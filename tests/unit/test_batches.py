# SPDX-License-Identifier: Apache-2.0
"""Which batches on `taxi.events` count: those of the city's producer, whole and in sequence."""

from collections.abc import Iterable
from typing import Any

import pytest

from taxi import messages as m
from taxi.bus import NO_TIME, Damaged, Record, Writer
from taxi.messages import codec
from taxi.state.batches import ANOTHER_PRODUCER, NO_PRODUCER, Batch, WholeBatches

CITY, OTHER = Writer(1, 0), Writer(2, 0)
AT_MS = 1_750_000_000_000


class Log:
    """Records of `taxi.events` as a reader returns them."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    @property
    def end(self) -> int:
        return self.records[-1].next_offset if self.records else 0

    def add(self, writer: Writer | None, *events: m.Event) -> None:
        for event in events:
            self.records.append(Record(self.end, AT_MS, None, codec.encode(event), (), writer))

    def batch(self, writer: Writer | None, number: int, *events: m.Event, **closed: Any) -> None:
        about = {"count": len(events) + 1, "commands_offset": 0, "locations_offset": 0} | closed
        self.add(writer, *events, m.BatchClosed(batch=number, at_ms=AT_MS, **about))

    def birth(self, writer: Writer | None = CITY) -> None:
        self.batch(writer, 1, epoch(1))

    def damage(self, count: int = 1) -> None:
        """What the disk has damaged: `count` records in place of those that were there."""
        end = self.end
        self.records.append(
            Damaged(end, NO_TIME, None, None, reason="checksum", end=end + count, is_on_disk=True)
        )


def epoch(batch: int, reason: str = "birth") -> m.EpochStarted:
    return m.EpochStarted(batch=batch, at_ms=AT_MS, epoch="e", city="grid", reason=reason)


def online(batch: int, driver: int = 7) -> m.DriverCameOnline:
    return m.DriverCameOnline(batch=batch, at_ms=AT_MS, driver=driver)


def numbers(batches: Iterable[Batch]) -> list[int]:
    return [batch.closed.batch for batch in batches]


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.mark.parametrize("number", [1, 2, 3, 10**15])
@pytest.mark.parametrize("writer", [OTHER, None])
def test_a_batch_of_another_producer_does_not_count(log: Log, number: int, writer: Writer | None) -> None:
    log.birth()
    log.batch(writer, number, online(number))
    log.batch(CITY, 2, online(2, driver=8))
    whole = WholeBatches()
    assert numbers(whole.feed(log.records)) == [1, 2]
    assert whole.gap is None
    assert [(error.record.offset, error.reason) for error in whole.passed_over] == [
        (2, ANOTHER_PRODUCER),
        (3, ANOTHER_PRODUCER),
    ]


def test_events_of_others_do_not_slip_into_a_batch_of_the_city(log: Log) -> None:
    log.birth()
    log.add(CITY, online(2))
    log.add(OTHER, online(2, driver=9))
    log.batch(CITY, 2, online(2, driver=8), count=3)
    [_, second] = WholeBatches().feed(log.records)
    assert [at.event.driver for at in second.events[:-1]] == [7, 8]  # type: ignore[union-attr]


def test_an_epoch_of_another_producer_does_not_count(log: Log) -> None:
    log.birth()
    log.batch(OTHER, 9, epoch(9, "events_lost"))
    log.batch(CITY, 2)
    assert numbers(WholeBatches().feed(log.records)) == [1, 2]


def test_before_its_birth_a_city_has_no_events(log: Log) -> None:
    log.batch(OTHER, 7, online(7))
    log.batch(OTHER, 1, online(1))
    log.birth()
    log.batch(OTHER, 2)
    whole = WholeBatches()
    assert numbers(whole.feed(log.records)) == [1]
    assert whole.producer_id == CITY.producer_id
    assert [error.record.offset for error in whole.passed_over] == [0, 1, 2, 3, 6]


def test_a_log_without_transactions_folds(log: Log) -> None:
    """As golden logs and copies of a topic do, which do not say who wrote them."""
    log.birth(None)
    log.batch(None, 2)
    whole = WholeBatches()
    assert numbers(whole.feed(log.records)) == [1, 2]
    assert whole.producer_id == NO_PRODUCER


def test_a_successor_with_another_producer_id_names_the_one_before(log: Log) -> None:
    log.birth()
    log.batch(OTHER, 2, online(2), previous_producer=CITY.producer_id)
    log.batch(CITY, 3)  # fenced in truth: only a stranger can have written this
    log.batch(OTHER, 3)
    whole = WholeBatches()
    assert numbers(whole.feed(log.records)) == [1, 2, 3]
    assert whole.producer_id == OTHER.producer_id
    assert [error.record.offset for error in whole.passed_over] == [4]


def test_a_known_successor_is_followed_if_the_disk_took_the_batch_that_named_it(log: Log) -> None:
    log.birth()
    log.damage(2)
    log.batch(OTHER, 3, online(3))
    log.batch(OTHER, 4, online(4))
    batches = WholeBatches(passes_gaps=True)
    assert numbers(batches.feed(log.records)) == [1]
    batches = WholeBatches(passes_gaps=True)
    batches.successor_ids = frozenset({OTHER.producer_id})
    gaps = []
    for _ in batches.feed(log.records):
        gaps.append(batches.gap)
        batches.resume()
    assert gaps == [None, "batch 3 follows batch 1: the disk has damaged records between them", None]


def test_a_known_successor_is_not_followed_without_damage(log: Log) -> None:
    log.birth()
    log.batch(OTHER, 2, online(2))
    batches = WholeBatches(passes_gaps=True)
    batches.successor_ids = frozenset({OTHER.producer_id})
    assert numbers(batches.feed(log.records)) == [1]


def test_a_successor_of_somebody_else_does_not_count(log: Log) -> None:
    """An old succession that was copied back onto the topic, say."""
    log.birth()
    log.batch(OTHER, 2, online(2), previous_producer=77)
    log.batch(CITY, 2)
    assert numbers(WholeBatches().feed(log.records)) == [1, 2]


def test_reading_on_from_a_snapshot_finds_the_same_batches(log: Log) -> None:
    log.birth()
    log.batch(CITY, 2)
    start = log.end
    log.batch(OTHER, 3, online(3))
    log.batch(CITY, 3)
    assert numbers(WholeBatches(2, CITY.producer_id).feed(log.records[start:])) == [3]


@pytest.mark.parametrize("lost", [1, 3])
def test_a_batch_that_lost_events_to_the_disk_is_a_gap(log: Log, lost: int) -> None:
    log.birth()
    log.damage(lost)
    log.batch(CITY, 2, count=1 + lost)
    log.batch(CITY, 3)
    whole = WholeBatches()
    assert numbers(whole.feed(log.records)) == [1]
    assert whole.gap is not None
    assert "damaged" in whole.gap


def test_a_whole_batch_that_the_disk_took_is_a_gap(log: Log) -> None:
    log.birth()
    log.damage(2)
    log.batch(CITY, 3)
    whole = WholeBatches()
    assert numbers(whole.feed(log.records)) == [1]
    assert whole.gap == "batch 3 follows batch 1: the disk has damaged records between them"


def test_damage_that_took_nothing_of_the_city_is_no_gap(log: Log) -> None:
    log.birth()
    log.damage(5)
    log.batch(CITY, 2, online(2))
    whole = WholeBatches()
    assert numbers(whole.feed(log.records)) == [1, 2]
    assert whole.gap is None


def test_a_gap_ends_with_an_epoch_that_begins_empty(log: Log) -> None:
    log.birth()
    log.batch(CITY, 5)
    log.batch(OTHER, 6, epoch(6, "events_lost"))
    log.batch(CITY, 6)
    log.batch(CITY, 7, epoch(7, "events_lost"))
    log.batch(CITY, 8)
    whole = WholeBatches()
    assert numbers(whole.feed(log.records)) == [1, 7, 8]
    assert whole.gap is None


def test_an_unknown_event_of_the_city_does_not_cost_its_batch(log: Log) -> None:
    """A later version may have written it."""
    log.birth()
    later = b'{"type":"RoadClosed","batch":2,"at_ms":1}'
    log.records.append(Record(log.end, AT_MS, None, later, (), CITY))
    log.batch(CITY, 2, count=2)
    assert numbers(WholeBatches().feed(log.records)) == [1, 2]


def test_an_unknown_event_of_another_producer_does_not_fill_a_gap(log: Log) -> None:
    log.birth()
    log.records.append(Record(log.end, AT_MS, None, b'{"type":"RoadClosed"}', (), OTHER))
    log.batch(CITY, 2, count=2)
    whole = WholeBatches()
    assert numbers(whole.feed(log.records)) == [1]
    assert whole.gap == "batch 2 lacks events"
