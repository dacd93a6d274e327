# SPDX-License-Identifier: Apache-2.0
"""At another speed, what people wait for takes so much less log time; what machines wait for does not."""

from dataclasses import replace

import pytest

from dispatcher.core import decide
from dispatcher.decision_config import decision_config_on_log
from dispatcher.limits import DecisionLimits
from taxi import messages as m
from taxi.bus import Record
from taxi.messages import codec
from taxi.messages.codec import DecodeError
from taxi.positions.newest import NewestFixes
from taxi.state import CityState
from taxi.topics import EVENTS
from testing.core_harness import GRID, CoreHarness, answer, kinds, report, request

LIMITS = DecisionLimits()


def at_speed(core: CoreHarness, speed: int) -> list[m.AnyEvent]:
    core.decision_config = replace(core.decision_config, speed=speed)
    return core.step()


@pytest.fixture
def core() -> CoreHarness:
    core = CoreHarness()
    at_speed(core, 10)
    core.drivers(d1=0)
    return core


def waiting_at_pickup(core: CoreHarness) -> m.RideOffered:
    offer = core.offered()
    core.step(answer(offer), after_ms=500)
    core.step(report(offer, "arrived"))
    return offer


def test_the_speed_goes_on_the_log_with_the_policy_once() -> None:
    core = CoreHarness()
    [event] = at_speed(core, 10)
    assert isinstance(event, m.PolicyActivated)
    assert (event.speed, decision_config_on_log(event).speed) == (10, 10)
    assert core.city.time.speed == 10
    assert core.step() == []


def test_real_time_leaves_no_trace_on_the_log() -> None:
    [activated] = [one.event for one in CoreHarness().log if isinstance(one.event, m.PolicyActivated)]
    assert b"speed" not in codec.encode(activated)


@pytest.mark.parametrize("speed", [0, 31, 1.5])
def test_a_speed_out_of_bounds_cannot_be_read(core: CoreHarness, speed: float) -> None:
    [event] = [one.event for one in core.log if isinstance(one.event, m.PolicyActivated)][-1:]
    value = codec.encode(event).replace(b'"speed":10', b'"speed":%s' % str(speed).encode())
    with pytest.raises(DecodeError):
        codec.decode(EVENTS, Record(0, 0, None, value, ()))


def test_an_offer_expires_ten_times_as_soon(core: CoreHarness) -> None:
    offer = core.offered()
    assert offer.expires_ms - offer.at_ms == LIMITS.offer_timeout_ms // 10
    assert "OfferExpired" in kinds(core.step())


def test_patience_is_over_ten_times_as_soon() -> None:
    core = CoreHarness()
    at_speed(core, 10)
    core.step(request())
    core.wait(LIMITS.patience_ms // 10 - 2_000)
    assert "r1" in core.city.rides
    assert kinds(core.step()) == ["RideExpired"]


def test_a_driver_waits_at_the_pickup_in_city_time(core: CoreHarness) -> None:
    waiting_at_pickup(core)
    assert kinds(core.wait(LIMITS.no_show_ms // 10)) == ["RideNoShow"]


def test_a_trip_lasts_and_costs_what_its_rider_lived_through(core: CoreHarness) -> None:
    offer = waiting_at_pickup(core)
    core.step(report(offer, "picked_up"))
    core.wait(60_000)
    [ended] = core.step(report(offer, "dropped_off"))
    assert isinstance(ended, m.TripCompleted)
    assert ended.trip_s == (ended.at_ms - core.ride().started_ms) // 100


def test_a_lost_signal_is_a_matter_of_the_clock(core: CoreHarness) -> None:
    core.drivers(d2=7)
    del core.where[1]
    assert core.wait(LIMITS.lost_ms - 3_000) == []
    assert kinds(core.wait(6_000)) == ["DriverLost"]


def test_a_ride_under_way_has_lasted_what_was_lived_through_when_the_speed_changes() -> None:
    core = CoreHarness()
    core.step(request())
    core.wait(LIMITS.patience_ms // 2)
    at_speed(core, 10)
    core.wait(LIMITS.patience_ms // 20 - 4_000)
    assert core.ride().ended_ms == 0, "counted back at the new speed, patience would be over at once"
    assert kinds(core.wait(6_000)) == ["RideExpired"]


def test_slower_again_city_time_goes_on_where_it_is() -> None:
    core = CoreHarness()
    at_speed(core, 30)
    before_ms = core.city.time.at(core.now_ms)
    core.wait(60_000)
    at_speed(core, 1)
    assert core.city.time.at(core.now_ms) == before_ms + 30 * 62_000
    core.wait(10_000)
    assert core.city.time.at(core.now_ms) == before_ms + 30 * 62_000 + 10_000


def test_the_same_batches_are_decided_alike_again_across_a_change() -> None:
    core = CoreHarness()
    core.drivers(d1=0, d2=7)
    configs = [core.decision_config] * len(core.batch_inputs)
    for speed in (10, 1, 30):
        at_speed(core, speed)
        offer = core.offered(f"r{speed}")
        core.step(answer(offer))
        core.wait(8_000)
        configs += [core.decision_config] * (len(core.batch_inputs) - len(configs))
    city, newest = CityState(), NewestFixes()
    again = [
        one
        for batch_input, config in zip(core.batch_inputs, configs, strict=True)
        for one in decide(city, newest, batch_input, GRID, config)
    ]
    assert [codec.encode(one.event) for one in again] == [codec.encode(one.event) for one in core.log]
    assert city == core.city


def test_a_snapshot_keeps_city_time(core: CoreHarness) -> None:
    core.wait(10_000)
    restored = CityState.from_bytes(core.city.to_bytes())
    assert restored.time.at(core.now_ms + 5) == core.city.time.at(core.now_ms + 5)
    assert restored == core.city


def test_an_epoch_that_begins_empty_restarts_city_time(core: CoreHarness) -> None:
    core.city.apply(
        m.EpochStarted(
            batch=core.city.batch + 1, at_ms=core.now_ms, epoch="e", city="g", reason="events_lost"
        )
    )
    assert (core.city.policy, core.city.time.at(core.now_ms)) == (None, core.now_ms)
