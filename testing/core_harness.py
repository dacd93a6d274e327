# SPDX-License-Identifier: Apache-2.0
"""A city with a grid of streets: a test writes commands and reads the decided events."""

from dataclasses import replace
from typing import Any

from dispatcher.batch import Decided
from dispatcher.batch_input import BatchInput, EpochToBegin, ReadCommand, Skipped
from dispatcher.core import DecisionConfig, decide
from dispatcher.limits import DecisionLimits
from dispatcher.policies.tuning import Tuning
from taxi import messages as m
from taxi.bus import Record
from taxi.messages import codec
from taxi.positions.columns import columns_of
from taxi.positions.newest import NewestFixes
from taxi.roads.grid import grid_city
from taxi.roads.network import RoadNetwork
from taxi.runtime import tracing
from taxi.state import CityState, Ride

START_MS = 1_750_000_000_000
STEP_MS = 2_000
GRID = grid_city(6, 6)
FAR_AWAY = (2.35, 48.86)


def corner(node: int, roads: RoadNetwork = GRID) -> m.Place:
    """Node `row * 6 + column`, from the south-west."""
    lng, lat = roads.nodes[node].tolist()
    return lng, lat


class CoreHarness:
    """State, log and clock of a city. `step` decides a batch, two seconds after the one before."""

    def __init__(
        self, *, policy: str = "greedy", limits: DecisionLimits | None = None, tuning: Tuning | None = None
    ) -> None:
        self.city, self.newest = CityState(), NewestFixes()
        self.decision_config = DecisionConfig(
            policy=policy, limits=limits or DecisionLimits(), tuning=tuning or Tuning()
        )
        self.now_ms = START_MS
        self.back_ms = 0
        """By how much the broker's clock was set back."""
        self.where: dict[int, int] = {}
        """Drivers who send fixes → their corner."""
        self.batch_inputs: list[BatchInput] = []
        self.log: list[Decided] = []
        self._offsets = {"commands": 0, "locations": 0}
        self.decide(self.batch_input(epoch_to_begin=EpochToBegin("0123456789abcdef", "birth")))

    # --- time passes --------------------------------------------------------------------------------

    def step(self, *commands: m.AnyCommand, after_ms: int = STEP_MS) -> list[m.AnyEvent]:
        """Move the clock, send positions of the drivers in `where` and these commands. Returns the events."""
        self.now_ms += after_ms
        return self.decide(self.batch_input(*commands))

    def wait(self, wait_ms: int) -> list[m.AnyEvent]:
        """Let time pass, a batch every two seconds."""
        events: list[m.AnyEvent] = []
        for _ in range(wait_ms // STEP_MS):
            events += self.step()
        return events

    def batch_input(
        self,
        *commands: m.AnyCommand,
        epoch_to_begin: EpochToBegin | None = None,
        skipped: tuple[Skipped, ...] = (),
        behind: bool = False,
    ) -> BatchInput:
        first = self._offsets["locations"]
        seen = [self.fix(driver) for driver in sorted(self.where)]
        fixes = columns_of(seen, range(first, first + len(seen)), [self.now_ms - self.back_ms] * len(seen))
        self._offsets["locations"] += len(seen)
        self._offsets["commands"] += len(commands)
        return BatchInput(
            commands=tuple(
                ReadCommand(command, self.now_ms - self.back_ms, tracing.root(command.command_id))
                for command in commands
            ),
            fixes=fixes,
            commands_offset=self._offsets["commands"],
            locations_offset=self._offsets["locations"],
            heard_ms=self.now_ms - self.back_ms,
            commands_alone=True,
            behind=behind,
            epoch_to_begin=epoch_to_begin,
            skipped=skipped,
        )

    def fix(self, driver: int) -> m.Fix:
        lng, lat = corner(self.where[driver])
        return m.Fix(driver=driver, at_ms=self.now_ms - self.back_ms, lng=lng, lat=lat)

    def decide(self, batch_input: BatchInput) -> list[m.AnyEvent]:
        """Decide a batch. Returns its events without the `BatchClosed`, which is checked."""
        decided = decide(self.city, self.newest, batch_input, GRID, self.decision_config)
        self.batch_inputs.append(batch_input)
        self.log += decided
        *events, closed = [one.event for one in decided]
        assert isinstance(closed, m.BatchClosed)
        assert closed.count == len(decided)
        return events

    # --- people -------------------------------------------------------------------------------------

    def drivers(self, **corners: int) -> None:
        """`d1=0`: driver 1 begins a shift at corner 0."""
        for name, node in corners.items():
            self.where[int(name[1:])] = node
        self.step(*(online(int(name[1:])) for name in corners))

    def ride(self, name: str = "r1") -> Ride:
        return self.city.rides[name]

    def offered(self, name: str = "r1") -> m.RideOffered:
        """Request a ride from corner 0 to 35 and return its offer."""
        events = self.step(request(name))
        [offer] = [event for event in events if isinstance(event, m.RideOffered)]
        return offer

    def log_offer(self, name: str = "r1") -> m.RideOffered:
        """The last offer of a ride."""
        offers = [e for one in self.log if isinstance(e := one.event, m.RideOffered) and e.ride == name]
        return offers[-1]

    def taken(self, name: str = "r1") -> m.RideOffered:
        offer = self.offered(name)
        self.step(answer(offer))
        return offer

    def waiting_at_pickup(self, name: str = "r1") -> m.RideOffered:
        offer = self.taken(name)
        self.step(report(offer, "arrived"))
        return offer

    def on_trip(self, name: str = "r1") -> m.RideOffered:
        offer = self.waiting_at_pickup(name)
        self.step(report(offer, "picked_up"))
        return offer

    # --- the log ------------------------------------------------------------------------------------

    def records(self) -> list[Record]:
        """The log as bytes, offsets without gaps."""
        return [
            Record(offset, one.event.at_ms, None, codec.encode(one.event), one.trace.headers())
            for offset, one in enumerate(self.log)
        ]


def online(driver: int, command_id: str = "", **changes: Any) -> m.GoOnline:
    return m.GoOnline(command_id=command_id or f"{driver}:online", driver=driver, **changes)


def offline(driver: int) -> m.GoOffline:
    return m.GoOffline(command_id=f"{driver}:offline", driver=driver)


def request(name: str = "r1", *, pickup: int = 0, dropoff: int = 35, **changes: Any) -> m.RequestRide:
    command = m.RequestRide(
        command_id=f"{name}:request",
        ride=name,
        rider="ann",
        pickup=corner(pickup),
        dropoff=corner(dropoff),
    )
    return m.RequestRide(**{**_fields(command), **changes})


def cancel(name: str = "r1", command_id: str = "") -> m.CancelRide:
    return m.CancelRide(command_id=command_id or f"{name}:cancel", ride=name)


def answer(offer: m.RideOffered, *, accept: bool = True, attempt: int | None = None) -> m.AnswerOffer:
    return m.AnswerOffer(
        command_id=f"{offer.ride}:{offer.driver}:{attempt or offer.attempt}:{accept}",
        driver=offer.driver,
        ride=offer.ride,
        attempt=attempt or offer.attempt,
        accept=accept,
    )


def report(offer: m.RideOffered | m.RideReassigned, stage: str, *, again: str = "") -> m.ReportProgress:
    return m.ReportProgress(
        command_id=f"{offer.ride}:{offer.attempt}:{stage}{again}",
        driver=offer.driver,
        ride=offer.ride,
        attempt=offer.attempt,
        stage=stage,
    )


def kinds(events: list[m.AnyEvent]) -> list[str]:
    return [m.tag_of(event) for event in events]


def late(batch_input: BatchInput, append_ms: int) -> BatchInput:
    """The same input, whose commands were appended at another time."""
    return replace(
        batch_input, commands=tuple(replace(read, append_ms=append_ms) for read in batch_input.commands)
    )


def _fields(command: m.RequestRide) -> dict[str, Any]:
    return {name: getattr(command, name) for name in command.__struct_fields__}
