# SPDX-License-Identifier: Apache-2.0
"""What makes a batch trustworthy: it is a function of state and input, and the log rebuilds the state."""

import pytest

from dispatcher.batch_input import EpochToBegin, Skipped
from dispatcher.core import DecisionConfig, decide
from dispatcher.limits import DecisionLimits
from taxi import messages as m
from taxi.bus import Record
from taxi.messages import codec
from taxi.positions.newest import NewestFixes
from taxi.runtime import tracing
from taxi.state import CityState, IllegalTransitionError
from taxi.state.batches import WholeBatches
from testing.core_harness import GRID, START_MS, CoreHarness, answer, kinds, online, report, request


def busy_core() -> CoreHarness:
    """Some of everything."""
    core = CoreHarness()
    core.drivers(d1=0, d2=14, d3=30, d4=5)
    core.step(answer(core.offered("declined"), accept=False))
    core.on_trip("trip")
    core.taken("taken")
    for node in range(6):
        core.step(request(f"more-{node}", pickup=node, dropoff=30 + node))
    core.where.pop(3, None)
    core.wait(40_000)
    return core


def test_the_same_cuts_give_the_same_bytes() -> None:
    core = busy_core()
    city, newest = CityState(), NewestFixes()
    again = [
        one
        for batch_input in core.batch_inputs
        for one in decide(city, newest, batch_input, GRID, core.decision_config)
    ]
    assert [codec.encode(one.event) for one in again] == [codec.encode(one.event) for one in core.log]
    assert [one.trace.headers() for one in again] == [one.trace.headers() for one in core.log]


def test_the_log_alone_rebuilds_the_state() -> None:
    core = busy_core()
    folded = CityState()
    for batch in WholeBatches().feed(core.records()):
        for at in batch.events:
            folded.apply(at.event)
    assert folded.to_bytes() == core.city.to_bytes()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_snapshot_and_the_events_after_it_are_as_good_as_all_events(share: float) -> None:
    core = busy_core()
    batches = list(WholeBatches().feed(core.records()))
    middle = int(len(batches) * share)
    city = CityState()
    for number, batch in enumerate(batches):
        if number == middle:
            city = CityState.from_bytes(city.to_bytes())
        for at in batch.events:
            city.apply(at.event)
    assert city.to_bytes() == core.city.to_bytes()


def test_a_run_that_never_closed_did_not_happen() -> None:
    core = busy_core()
    core.step(request("last"), request("of-all"))
    records = core.records()
    *before, run = _runs(records)
    half = run[:-1]
    folded, batches = CityState(), WholeBatches()
    for batch in batches.feed([*(record for each in before for record in each), *half, *run]):
        for at in batch.events:
            folded.apply(at.event)
    assert batches.dropped == len(half) >= 2
    assert folded.to_bytes() == core.city.to_bytes()


def _runs(records: list[Record]) -> list[list[Record]]:
    """The records of each batch."""
    runs: list[list[Record]] = [[]]
    for record in records:
        runs[-1].append(record)
        if isinstance(codec.decode("taxi.events", record), m.BatchClosed):
            runs.append([])
    return runs[:-1]


def test_the_birth_of_a_log() -> None:
    core = CoreHarness()
    assert kinds([one.event for one in core.log]) == ["EpochStarted", "PolicyActivated", "BatchClosed"]
    assert core.city.epoch == "0123456789abcdef"
    assert core.city.batch == 1


def test_another_policy_or_limit_is_said_once() -> None:
    core = CoreHarness()
    core.decision_config = DecisionConfig(policy="fifo", limits=DecisionLimits(offer_timeout_ms=7_000))
    [event] = core.step()
    assert isinstance(event, m.PolicyActivated)
    assert (event.policy, event.parameters["offer_timeout_ms"]) == ("fifo", 7_000)
    assert kinds(core.step()) == []


def test_log_time_never_goes_back() -> None:
    core = busy_core()
    before_ms = core.city.now_ms
    core.step(after_ms=-60_000)
    assert core.city.now_ms == before_ms


def test_input_that_retention_took_is_said() -> None:
    core = CoreHarness()
    events = core.decide(core.batch_input(skipped=(Skipped("taxi.commands", 3, 9),)))
    assert kinds(events) == ["InputSkipped"]


def test_recreated_locations_begin_an_epoch_in_which_old_fixes_count_for_nothing() -> None:
    core = CoreHarness()
    core.drivers(d1=0)
    core.where.clear()
    events = core.decide(core.batch_input(epoch_to_begin=EpochToBegin("f" * 16, "locations_recreated")))
    assert kinds(events) == ["EpochStarted"]
    assert core.city.epoch == "f" * 16
    assert not core.newest.drivers
    assert 1 in core.city.drivers


def test_lost_events_begin_an_epoch_with_an_empty_city() -> None:
    core = busy_core()
    batch = core.city.batch
    events = core.decide(core.batch_input(epoch_to_begin=EpochToBegin("e" * 16, "events_lost")))
    assert kinds(events)[0] == "EpochStarted"
    assert (core.city.drivers, core.city.rides, core.city.commands) == ({}, {}, {})
    assert core.city.batch == batch + 1


def test_an_event_is_in_the_trace_of_its_command_and_others_in_that_of_their_batch() -> None:
    core = CoreHarness()
    core.step(online(1))
    cause = tracing.root("1:online")
    [mine] = [one for one in core.log if one.event.command_id == "1:online"]
    assert (mine.trace.trace_id, mine.parent) == (cause.trace_id, cause)
    spans = [one.trace.span_id for one in busy_core().log]
    assert len(set(spans)) == len(spans)
    assert all(tracing.parse(one.trace.headers()) == one.trace for one in core.log)


def test_memory_is_bounded_by_log_time() -> None:
    core = CoreHarness()
    core.drivers(d1=0)
    core.step(report(core.on_trip(), "dropped_off"))
    assert set(core.city.rides) == {"r1"}
    core.wait(240_000)
    assert not core.city.rides
    assert core.city.commands
    core.now_ms += 3_600_000
    core.step()
    assert not core.city.commands


def test_an_event_that_can_not_be_is_a_bug() -> None:
    core = CoreHarness()
    core.drivers(d1=0)
    offer = core.offered()
    assert offer.at_ms > START_MS
    with pytest.raises(IllegalTransitionError):
        core.city.apply(
            m.TripStarted(batch=core.city.batch + 1, at_ms=core.now_ms, ride="r1", driver=1, attempt=1)
        )
    with pytest.raises(IllegalTransitionError):
        core.city.apply(
            m.RideAssigned(
                batch=core.city.batch + 1, at_ms=core.now_ms, ride="r1", driver=2, attempt=1, eta_s=1
            )
        )
