# SPDX-License-Identifier: Apache-2.0
"""Whatever riders and drivers say, whenever: the city stays lawful, and every ride ends."""

from collections import Counter
from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dispatcher.core import decide
from dispatcher.limits import DecisionLimits
from dispatcher.policies.tuning import Tuning
from taxi import messages as m
from taxi.messages import codec
from taxi.messages.states import DriverStatus, RideState
from taxi.positions.newest import NewestFixes
from taxi.state import NOT_YET, CityState
from taxi.topics import EVENTS
from testing.core_harness import GRID, CoreHarness, corner

DRIVERS = st.integers(1, 4)
RIDES = st.sampled_from("abcdefghijkl")
NODES = st.integers(0, 35)
BUSY = {RideState.OFFERED, RideState.ASSIGNED, RideState.ARRIVED, RideState.ON_TRIP}
STAGES = {
    RideState.ASSIGNED: "arrived",
    RideState.ARRIVED: "picked_up",
    RideState.ON_TRIP: "dropped_off",
}
LIMITS = DecisionLimits(
    patience_ms=40_000, no_show_ms=20_000, lost_on_trip_ms=30_000, pickup_ms_max=60_000, trip_ms_max=90_000
)

RESTLESS = Tuning(
    rematch_interval_ms=2_000,
    rematch_left_ms_min=0,
    swap_price_ms=100,
    reposition_interval_ms=4_000,
    reposition_slack_ms=4_000,
)
"""Everything that may happen before a pickup happens often."""


def put_off(event: m.AnyEvent) -> bool:
    """Whether the command that this event answers may be decided when it comes again."""
    return isinstance(event, m.CommandRejected) and event.reason in NOT_YET


class Life(RuleBasedStateMachine):
    """People who say anything at all; a clock that moves in uneven steps."""

    @initialize(policy=st.sampled_from(["greedy", "fifo", "batched", "batched"]))
    def begin(self, policy: str) -> None:
        self.core = CoreHarness(policy=policy, limits=LIMITS, tuning=RESTLESS)
        self.said: list[m.AnyCommand] = []
        self.serial = 0
        self.core.drivers(d1=0, d2=20)
        self.answered_ids = {"1:online", "2:online"}
        self.reader = CityState()
        self.read = 0
        self.follow()

    def say(self, kind: type[m.Command], **fields: Any) -> None:
        self.serial += 1
        command: Any = kind(command_id=f"c{self.serial}", **fields)
        self.said.append(command)

    @rule(ride=RIDES, pickup=NODES, dropoff=NODES)
    def request(self, ride: str, pickup: int, dropoff: int) -> None:
        self.say(m.RequestRide, ride=ride, rider="r", pickup=corner(pickup), dropoff=corner(dropoff))

    @rule(ride=RIDES)
    def cancel(self, ride: str) -> None:
        self.say(m.CancelRide, ride=ride)

    @rule(driver=DRIVERS, online=st.booleans())
    def shift(self, driver: int, online: bool) -> None:
        self.say(m.GoOnline if online else m.GoOffline, driver=driver)

    @rule(driver=DRIVERS, ride=RIDES, attempt=st.integers(1, 3), accept=st.booleans())
    def answer(self, driver: int, ride: str, attempt: int, accept: bool) -> None:
        self.say(m.AnswerOffer, driver=driver, ride=ride, attempt=attempt, accept=accept)

    @rule(accept=st.booleans())
    def answer_what_is_offered(self, accept: bool) -> None:
        for ride in self.core.city.rides.values():
            if ride.state is RideState.OFFERED:
                fields = {"driver": ride.driver, "ride": ride.ride, "attempt": ride.attempt}
                self.say(m.AnswerOffer, accept=accept, **fields)

    @rule()
    def refuse_what_was_ordered(self) -> None:
        for ride in self.core.city.rides.values():
            if ride.ordered and ride.state is RideState.ASSIGNED:
                fields = {"driver": ride.driver, "ride": ride.ride, "attempt": ride.attempt}
                self.say(m.AnswerOffer, accept=False, **fields)

    @rule(stage=st.sampled_from(["arrived", "picked_up", "dropped_off", "no_show", "nonsense"]))
    def report(self, stage: str) -> None:
        for ride in self.core.city.rides.values():
            if ride.state in BUSY:
                fields = {"driver": ride.driver, "ride": ride.ride, "attempt": ride.attempt}
                self.say(m.ReportProgress, stage=stage, **fields)

    @rule(driver=DRIVERS, node=NODES)
    def appear(self, driver: int, node: int) -> None:
        self.core.where[driver] = node

    @rule(driver=DRIVERS)
    def vanish(self, driver: int) -> None:
        self.core.where.pop(driver, None)

    @rule(rounds=st.integers(1, 5), ride=RIDES, pickup=NODES)
    def every_driver_follows_its_orders(self, rounds: int, ride: str, pickup: int) -> None:
        """A ride is asked for; drivers accept, drive, and go a step further at each batch."""
        self.request(ride, pickup, 35)
        for _ in range(rounds):
            self.answer_what_is_offered(accept=True)
            for held in self.core.city.rides.values():
                if (stage := STAGES.get(held.state)) is not None:
                    fields = {"driver": held.driver, "ride": held.ride, "attempt": held.attempt}
                    self.say(m.ReportProgress, stage=stage, **fields)
            self.pass_time(2_000, repeat=False)

    @rule(times=st.integers(1, 12))
    def drivers_with_a_ride_fall_silent(self, times: int) -> None:
        """While others are heard: driver 7 has no shift, but a transmitter."""
        self.core.where[7] = 0
        for driver in [ride.driver for ride in self.core.city.rides.values() if ride.state in BUSY]:
            self.core.where.pop(driver or 0, None)
        for _ in range(times):
            self.pass_time(4_000, repeat=False)

    @rule(times=st.integers(1, 12))
    def no_driver_says_anything(self, times: int) -> None:
        for _ in range(times):
            self.pass_time(2_000, repeat=False)

    @rule(after_ms=st.sampled_from([100, 2_000, 4_000, 16_000]), repeat=st.booleans())
    def pass_time(self, after_ms: int, repeat: bool) -> None:
        """Decide; every command is answered, and decided once: a repeat only if it was put off before."""
        commands = self.said + (self.said if repeat else [])
        before = self.core.city.to_bytes(), msgspec.json.encode(self.core.newest)
        events = self.core.step(*commands, after_ms=after_ms)
        self.decide_again(*before)
        self.follow()
        answered = Counter(event.command_id for event in events if event.command_id is not None)
        assert set(answered) == {command.command_id for command in self.said}
        decided = Counter(event.command_id for event in events if event.command_id and not put_off(event))
        assert all(count == 1 for count in decided.values())
        assert repeat or all(count == 1 for count in answered.values())
        assert not set(answered) & self.answered_ids
        self.answered_ids |= set(answered)
        self.said = []

    def decide_again(self, city: bytes, newest: bytes) -> None:
        """From the bytes of the state before, the same input gives the same events byte for byte."""
        known = msgspec.json.decode(newest, type=NewestFixes)
        batch_input = self.core.batch_inputs[-1]
        again = decide(CityState.from_bytes(city), known, batch_input, GRID, self.core.decision_config)
        made = self.core.log[-len(again) :]
        assert [codec.encode(one.event) for one in again] == [codec.encode(one.event) for one in made]
        assert [one.trace for one in again] == [one.trace for one in made]

    def follow(self) -> None:
        """A reader of the JSON of the log that forgets all but a snapshot now and then, holds the same."""
        for record in self.core.records()[self.read :]:
            self.reader.apply(codec.decode(EVENTS, record))
        self.read = len(self.core.log)
        assert self.reader.to_bytes() == self.core.city.to_bytes()
        self.reader = CityState.from_bytes(self.reader.to_bytes())
        assert self.reader == self.core.city

    @invariant()
    def no_driver_is_on_two_rides(self) -> None:
        if not hasattr(self, "core"):
            return
        city = self.core.city
        held = [ride.driver for ride in city.rides.values() if ride.state in BUSY]
        assert None not in held
        assert len(set(held)) == len(held)
        for number, driver in city.drivers.items():
            if driver.ride is not None:
                assert city.rides[driver.ride].driver == number
                assert city.rides[driver.ride].state in BUSY
            elif not driver.lost_ms:
                assert city.status(number) in {DriverStatus.IDLE, DriverStatus.OFFLINE}

    @invariant()
    def every_ride_is_where_it_is_looked_for(self) -> None:
        if not hasattr(self, "core"):
            return
        city = self.core.city
        assert city.by_state == CityState.from_bytes(city.to_bytes()).by_state

    def teardown(self) -> None:
        """Left alone, every ride ends; and the whole story is decided alike again."""
        if not hasattr(self, "core"):
            return
        self.core.step(*self.said)
        self.core.where = {7: 0}
        for _ in range(16):
            self.core.step(after_ms=12_000)
        assert all(ride.ended_ms for ride in self.core.city.rides.values())
        city, newest = CityState(), NewestFixes()
        again = [
            codec.encode(one.event)
            for batch_input in self.core.batch_inputs
            for one in decide(city, newest, batch_input, GRID, self.core.decision_config)
        ]
        assert again == [codec.encode(one.event) for one in self.core.log]
        folded = CityState()
        for one in self.core.log:
            folded.apply(one.event)
        assert folded.to_bytes() == self.core.city.to_bytes()


Life.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestLife = Life.TestCase
