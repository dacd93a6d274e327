# SPDX-License-Identifier: Apache-2.0
"""What other producers, or the disk, put among the events breaks no rule of the city."""

import json
from typing import Any

import pytest

from taxi import messages as m
from taxi import topics
from taxi.bus import Outgoing
from taxi.bus.memory.bus import MemoryBroker
from taxistream.tools.audit.findings import AuditFindings
from taxistream.tools.audit.shell import audit
from testing.foreign import FOREIGN_EVENTS, append, foreign_events
from testing.still_bus import StillBus, at_once
from tests.unit.audit.harness import START_MS, honest_log


def audited(broker: MemoryBroker) -> AuditFindings:
    return at_once(audit(StillBus(broker, everything=False), [0]))


@pytest.mark.parametrize("at_birth", [True, False], ids=["from birth", "from the middle"])
@pytest.mark.parametrize("kind", FOREIGN_EVENTS)
def test_foreign_events_are_counted_and_break_no_rule(kind: str, at_birth: bool) -> None:
    log = honest_log()
    broker = log.broker()
    events = foreign_events(kind, log.number, START_MS)
    place = broker.partition(topics.EVENTS, 0)
    whole = audited(broker)
    append(broker, *events)
    if not at_birth:
        place.delete_before(4)
        whole = audited(broker)
    findings = audited(broker)
    assert findings.violations == {}
    assert findings.foreign_events == len(events)
    assert (findings.batches, findings.rides) == (whole.batches, whole.rides)


def test_a_foreign_epoch_makes_no_input_another_topic() -> None:
    log = honest_log()
    broker = log.broker()
    commands = audited(broker).commands
    events = foreign_events("another epoch", log.number, START_MS)
    append(broker, *events)
    assert audited(broker).commands == commands > 0


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("lost", [b"RideOffered", b"RideAssigned", b"BatchClosed"])
def test_what_needs_damaged_events_is_not_judged(lost: bytes, count: int) -> None:
    log = honest_log()
    broker = log.broker()
    place = broker.partition(topics.EVENTS, 0)
    at = next(i for i, e in enumerate(place.entries) if lost in (e.record.value or b"") and i > 5)
    place.corrupt(at, at + count)
    findings = audited(broker)
    assert findings.violations == {}
    assert findings.damaged_events == count
    assert 0 < findings.batches < log.number


def test_damage_beside_the_citys_events_costs_no_judgement() -> None:
    log = honest_log()
    broker = log.broker()
    place = broker.partition(topics.EVENTS, 0)
    place.append_damaged("the checksum is wrong", START_MS, is_on_disk=True)
    log.batch()
    log.write_to(broker)
    place.append([Outgoing(None, json.dumps(log.events[-1]).encode())], START_MS)
    findings = audited(broker)
    assert (findings.violations, findings.batches) == ({}, log.number)


def test_a_batch_of_the_city_that_is_missing_is_still_blamed() -> None:
    log = honest_log()
    broker = log.broker()
    log.number += 1
    log.batch()
    log.write_to(broker)
    assert "batch_number" in audited(broker).violations


@pytest.mark.parametrize(("previous", "foreign"), [(-1, 0), (5, 2)])
def test_a_batch_under_another_producer_id_names_the_one_before(previous: int, foreign: int) -> None:
    log = honest_log()
    broker = log.broker()
    place = broker.partition(topics.EVENTS, 0)
    when: dict[str, Any] = {"batch": log.number + 1, "at_ms": log.now_ms}
    closed = m.BatchClosed(
        **when,
        count=2,
        commands_offset=len(log.commands),
        locations_offset=len(log.fixes),
        previous_producer=previous,
    )
    append(broker, m.DriverCameOnline(**when, driver=8), closed)
    assert place.stable == place.end
    findings = audited(broker)
    assert (findings.batches, findings.foreign_events) == (log.number + (not foreign), foreign)
    assert findings.violations == {}


def test_a_log_that_begins_between_two_batches_is_not_blamed_for_its_first_one() -> None:
    """Where the input of that batch began is not known."""
    log = honest_log()
    broker = log.broker()
    place = broker.partition(topics.EVENTS, 0)
    ends = [i + 1 for i, entry in enumerate(place.entries) if b"BatchClosed" in (entry.record.value or b"")]
    for end in ends[:-1]:
        place.delete_before(end)
        assert audited(broker).violations == {}
