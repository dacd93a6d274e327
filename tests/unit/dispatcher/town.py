# SPDX-License-Identifier: Apache-2.0
"""A town on squared paper in which a test says who asks for what, and reads what was decided."""

from dataclasses import replace
from typing import Any

from dispatcher.batch import Decided
from dispatcher.core import Mandate, decide
from dispatcher.cut import Cut, Epoch, ReadCommand, Skipped
from dispatcher.limits import Limits
from dispatcher.policies.tuning import Tuning
from taxi import codec
from taxi import messages as m
from taxi.bus import Record
from taxi.city import CityState, Ride
from taxi.fix_columns import columns_of
from taxi.newest import NewestFixes
from taxi.roads import RoadNetwork
from taxi.roads_grid import grid_city
from taxi.runtime import tracing

START_MS = 1_750_000_000_000
STEP_MS = 2_000
GRID = grid_city(6, 6)
FAR_AWAY = (2.35, 48.86)


def corner(node: int, roads: RoadNetwork = GRID) -> m.Place:
    """Node `row * 6 + column`, from the south-west."""
    lng, lat = roads.nodes[node].tolist()
    return lng, lat


class Town:
    """State, log and clock of a city. `step` decides one batch, two seconds after the one before."""

    def __init__(
        self, *, policy: str = "greedy", limits: Limits | None = None, tuning: Tuning | None = None
    ) -> None:
        self.city, self.newest = CityState(), NewestFixes()
        self.mandate = Mandate(policy=policy, limits=limits or Limits(), tuning=tuning or Tuning())
        self.now_ms = START_MS
        self.where: dict[int, int] = {}
        """Drivers who send fixes → their corner."""
        self.cuts: list[Cut] = []
        self.log: list[Decided] = []
        self._offsets = {"commands": 0, "locations": 0}
        self.decide(self.cut(epoch=Epoch("0123456789abcdef", "birth")))

    # --- time passes --------------------------------------------------------------------------------

    def step(self, *commands: m.AnyCommand, after_ms: int = STEP_MS) -> list[m.AnyEvent]:
        """Later, everybody in `where` is seen and these commands were said. Returns what was decided."""
        self.now_ms += after_ms
        return self.decide(self.cut(*commands))

    def wait(self, wait_ms: int) -> list[m.AnyEvent]:
        """Let time pass, a batch every two seconds."""
        events: list[m.AnyEvent] = []
        for _ in range(wait_ms // STEP_MS):
            events += self.step()
        return events

    def cut(
        self, *commands: m.AnyCommand, epoch: Epoch | None = None, skipped: tuple[Skipped, ...] = ()
    ) -> Cut:
        first = self._offsets["locations"]
        seen = [self.fix(driver) for driver in sorted(self.where)]
        fixes = columns_of(seen, range(first, first + len(seen)), [self.now_ms] * len(seen))
        self._offsets["locations"] += len(seen)
        self._offsets["commands"] += len(commands)
        return Cut(
            commands=tuple(
                ReadCommand(command, self.now_ms, tracing.root(command.command_id)) for command in commands
            ),
            fixes=fixes,
            commands_offset=self._offsets["commands"],
            locations_offset=self._offsets["locations"],
            heard_ms=self.now_ms,
            epoch=epoch,
            skipped=skipped,
        )

    def fix(self, driver: int) -> m.Fix:
        lng, lat = corner(self.where[driver])
        return m.Fix(driver=driver, at_ms=self.now_ms, lng=lng, lat=lat)

    def decide(self, cut: Cut) -> list[m.AnyEvent]:
        """All but the `BatchClosed`, which is checked instead."""
        decided = decide(self.city, self.newest, cut, GRID, self.mandate)
        self.cuts.append(cut)
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
        """Ask for a ride from corner 0 to 35, and see it offered."""
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


def late(cut: Cut, append_ms: int) -> Cut:
    """The same cut, whose commands were appended at another time."""
    return replace(cut, commands=tuple(replace(read, append_ms=append_ms) for read in cut.commands))


def _fields(command: m.RequestRide) -> dict[str, Any]:
    return {name: getattr(command, name) for name in command.__struct_fields__}
