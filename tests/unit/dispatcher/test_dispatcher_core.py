# SPDX-License-Identifier: Apache-2.0
"""What makes a batch trustworthy: it is a function of state and cut, and the log alone rebuilds the state."""

import pytest

from dispatcher.core import Mandate, decide
from dispatcher.cut import Epoch, Skipped
from dispatcher.limits import Limits
from taxi import codec
from taxi import messages as m
from taxi.batches import WholeBatches
from taxi.bus import Record
from taxi.city import CityState, IllegalTransitionError
from taxi.newest import NewestFixes
from taxi.runtime import tracing
from tests.unit.dispatcher.town import GRID, START_MS, Town, answer, kinds, online, report, request


def busy_town() -> Town:
    """Some of everything."""
    town = Town()
    town.drivers(d1=0, d2=14, d3=30, d4=5)
    town.step(answer(town.offered("declined"), accept=False))
    town.on_trip("trip")
    town.taken("taken")
    for node in range(6):
        town.step(request(f"more-{node}", pickup=node, dropoff=30 + node))
    town.where.pop(3, None)
    town.wait(40_000)
    return town


def test_the_same_cuts_give_the_same_bytes() -> None:
    town = busy_town()
    city, newest = CityState(), NewestFixes()
    again = [one for cut in town.cuts for one in decide(city, newest, cut, GRID, town.mandate)]
    assert [codec.encode(one.event) for one in again] == [codec.encode(one.event) for one in town.log]
    assert [one.trace.headers() for one in again] == [one.trace.headers() for one in town.log]


def test_the_log_alone_rebuilds_the_state() -> None:
    town = busy_town()
    folded = CityState()
    for batch in WholeBatches().feed(town.records()):
        for at in batch.events:
            folded.apply(at.event)
    assert folded.to_bytes() == town.city.to_bytes()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_snapshot_and_the_events_after_it_are_as_good_as_all_events(share: float) -> None:
    town = busy_town()
    batches = list(WholeBatches().feed(town.records()))
    middle = int(len(batches) * share)
    city = CityState()
    for number, batch in enumerate(batches):
        if number == middle:
            city = CityState.from_bytes(city.to_bytes())
        for at in batch.events:
            city.apply(at.event)
    assert city.to_bytes() == town.city.to_bytes()


def test_a_run_that_never_closed_did_not_happen() -> None:
    town = busy_town()
    town.step(request("last"), request("of-all"))
    records = town.records()
    *before, run = _runs(records)
    half = run[:-1]
    folded, batches = CityState(), WholeBatches()
    for batch in batches.feed([*(record for each in before for record in each), *half, *run]):
        for at in batch.events:
            folded.apply(at.event)
    assert batches.dropped == len(half) >= 2
    assert folded.to_bytes() == town.city.to_bytes()


def _runs(records: list[Record]) -> list[list[Record]]:
    """The records of each batch."""
    runs: list[list[Record]] = [[]]
    for record in records:
        runs[-1].append(record)
        if isinstance(codec.decode("taxi.events", record), m.BatchClosed):
            runs.append([])
    return runs[:-1]


def test_the_birth_of_a_log() -> None:
    town = Town()
    assert kinds([one.event for one in town.log]) == ["EpochStarted", "PolicyActivated", "BatchClosed"]
    assert town.city.epoch == "0123456789abcdef"
    assert town.city.batch == 1


def test_another_policy_or_limit_is_said_once() -> None:
    town = Town()
    town.mandate = Mandate(policy="fifo", limits=Limits(offer_timeout_ms=7_000))
    [event] = town.step()
    assert isinstance(event, m.PolicyActivated)
    assert (event.policy, event.parameters["offer_timeout_ms"]) == ("fifo", 7_000)
    assert kinds(town.step()) == []


def test_log_time_never_goes_back() -> None:
    town = busy_town()
    before_ms = town.city.now_ms
    town.step(after_ms=-60_000)
    assert town.city.now_ms == before_ms


def test_input_that_retention_took_is_said() -> None:
    town = Town()
    events = town.decide(town.cut(skipped=(Skipped("taxi.commands", 3, 9),)))
    assert kinds(events) == ["InputSkipped"]


def test_locations_made_anew_begin_an_epoch_in_which_old_fixes_count_for_nothing() -> None:
    town = Town()
    town.drivers(d1=0)
    town.where.clear()
    events = town.decide(town.cut(epoch=Epoch("f" * 16, "locations_recreated")))
    assert kinds(events) == ["EpochStarted"]
    assert town.city.epoch == "f" * 16
    assert not town.newest.drivers
    assert 1 in town.city.drivers


def test_lost_events_begin_an_epoch_with_an_empty_city() -> None:
    town = busy_town()
    batch = town.city.batch
    events = town.decide(town.cut(epoch=Epoch("e" * 16, "events_lost")))
    assert kinds(events)[0] == "EpochStarted"
    assert (town.city.drivers, town.city.rides, town.city.commands) == ({}, {}, {})
    assert town.city.batch == batch + 1


def test_an_event_stands_in_the_trace_of_its_command_and_others_in_that_of_their_batch() -> None:
    town = Town()
    town.step(online(1))
    cause = tracing.root("1:online")
    [mine] = [one for one in town.log if one.event.command_id == "1:online"]
    assert (mine.trace.trace_id, mine.parent) == (cause.trace_id, cause)
    spans = [one.trace.span_id for one in busy_town().log]
    assert len(set(spans)) == len(spans)
    assert all(tracing.parse(one.trace.headers()) == one.trace for one in town.log)


def test_memory_is_bounded_by_log_time() -> None:
    town = Town()
    town.drivers(d1=0)
    town.step(report(town.on_trip(), "dropped_off"))
    assert set(town.city.rides) == {"r1"}
    town.wait(240_000)
    assert not town.city.rides
    assert town.city.commands
    town.now_ms += 3_600_000
    town.step()
    assert not town.city.commands


def test_an_event_that_can_not_be_is_a_bug() -> None:
    town = Town()
    town.drivers(d1=0)
    offer = town.offered()
    assert offer.at_ms > START_MS
    with pytest.raises(IllegalTransitionError):
        town.city.apply(
            m.TripStarted(batch=town.city.batch + 1, at_ms=town.now_ms, ride="r1", driver=1, attempt=1)
        )
    with pytest.raises(IllegalTransitionError):
        town.city.apply(
            m.RideAssigned(
                batch=town.city.batch + 1, at_ms=town.now_ms, ride="r1", driver=2, attempt=1, eta_s=1
            )
        )
