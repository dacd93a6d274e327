# SPDX-License-Identifier: Apache-2.0
"""A dispatcher that says yes: just enough of one to give the simulator somebody to talk to."""

from collections.abc import Callable, Iterable
from typing import Any

from taxi import messages as m
from taxi.messages.states import DriverStatus, RideState
from taxi.state import MOVES, CityState, IllegalTransitionError, Ride

OFFER_MS = 12_000
_STEPS: dict[str, type[m.Event]] = {
    "arrived": m.DriverArrived,
    "picked_up": m.TripStarted,
    "dropped_off": m.TripCompleted,
    "no_show": m.RideNoShow,
}


class Obliging:
    """Folds what it decides; every accepted command yields an event with its id, a repeat yields none."""

    def __init__(self) -> None:
        self.state = CityState()
        self.history: list[Any] = []
        self._made: list[Any] = []
        self._now_ms = 0

    def decide(
        self,
        commands: Iterable[m.AnyCommand],
        now_ms: int,
        *,
        offers: bool = True,
        fate: Callable[[], object] = lambda: None,
    ) -> list[Any]:
        """One batch: what `fate` adds, the commands, offers that lapsed, new offers, and its end."""
        self._made, self._now_ms = [], max(now_ms, self.state.now_ms)
        if not self.state.epoch:
            self.add(m.EpochStarted, epoch="0" * 16, city="grid")
        fate()
        for command in commands:
            if command.command_id not in self.state.commands:
                self._accept(command)
        for ride in self.rides(RideState.OFFERED):
            if ride.expires_ms <= self._now_ms:
                self.add(m.OfferExpired, ride=ride.ride, driver=ride.driver, attempt=ride.attempt)
        if offers:
            self._offer()
        count = len(self._made) + 1
        self.add(m.BatchClosed, count=count, commands_offset=0, locations_offset=0)
        return self._made

    def add(self, kind: Callable[..., Any], **fields: Any) -> None:
        """An event of this batch. Raises IllegalTransitionError."""
        event = kind(batch=self.state.batch + 1, at_ms=self._now_ms, **fields)
        self.state.apply(event)
        self._made.append(event)
        self.history.append(event)

    def rides(self, *states: RideState) -> list[Ride]:
        """The rides in these states, by id."""
        return sorted((r for r in self.state.rides.values() if r.state in states), key=lambda r: r.ride)

    def idle(self) -> list[int]:
        """Drivers without a ride, on shift, by number."""
        return [d for d in sorted(self.state.drivers) if self.state.status(d) is DriverStatus.IDLE]

    def _accept(self, command: m.AnyCommand) -> None:
        try:
            self._carry_out(command, {"command_id": command.command_id})
        except IllegalTransitionError as error:
            self.add(
                m.CommandRejected, command_id=command.command_id, reason=str(error), subject=str(command)
            )

    def _carry_out(self, command: m.AnyCommand, answers: dict[str, str]) -> None:
        match command:
            case m.GoOnline(driver=driver):
                self.add(m.DriverCameOnline, driver=driver, **answers)
            case m.GoOffline(driver=driver):
                self.add(m.DriverWentOffline, driver=driver, **answers)
            case m.RequestRide(ride=ride, rider=rider, pickup=pickup, dropoff=dropoff):
                self.add(m.RideRequested, ride=ride, rider=rider, pickup=pickup, dropoff=dropoff, **answers)
            case m.CancelRide(ride=ride, reason=reason):
                known = self.state.rides.get(ride)
                held_by = known.driver if known else None
                self.add(m.RideCancelled, ride=ride, reason=reason, driver=held_by, **answers)
            case m.AnswerOffer() | m.ReportProgress():
                self._move(command, answers)
            case m.StartScenario(scenario=name, title=title, lasts_s=lasts_s, area=area):
                self.add(m.ScenarioStarted, scenario=name, title=title, lasts_s=lasts_s, area=area, **answers)
            case m.StopScenario(scenario=name):
                self.add(m.ScenarioEnded, scenario=name, reason="stopped", **answers)

    def _move(self, command: m.AnswerOffer | m.ReportProgress, answers: dict[str, str]) -> None:
        ride = self.state.rides.get(command.ride)
        if ride is None or (ride.driver, ride.attempt) != (command.driver, command.attempt):
            raise IllegalTransitionError(f"stale: {command}")
        fields: dict[str, Any] = {"ride": ride.ride, "driver": command.driver, **answers}
        if isinstance(command, m.AnswerOffer):
            kind: type[m.Event] = m.RideAssigned if command.accept else m.OfferDeclined
        else:
            kind = _STEPS[command.stage]
        if ride.state not in MOVES[kind][0]:
            raise IllegalTransitionError(f"{command} while {ride.state.name}")
        fields |= {} if kind is m.RideNoShow else {"attempt": ride.attempt}
        fields |= {"eta_s": 0} if kind is m.RideAssigned else {}
        fields |= {"trip_s": 0} if kind is m.TripCompleted else {}
        self.add(kind, **fields)

    def _offer(self) -> None:
        for ride in self.rides(RideState.REQUESTED):
            free = [driver for driver in self.idle() if driver not in ride.refused]
            if free:
                attempt, expires_ms = ride.attempt + 1, self._now_ms + OFFER_MS
                self.add(
                    m.RideOffered,
                    ride=ride.ride,
                    driver=free[0],
                    attempt=attempt,
                    eta_s=0,
                    expires_ms=expires_ms,
                )
