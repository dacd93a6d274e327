# SPDX-License-Identifier: Apache-2.0
"""Decides a batch: a pure function of the city's state and a batch input. No await, clock or chance.

Order within a batch: positions, timers, commands in offset order, then the policy. Timers and
policy wait until log time passes their next multiple; a batch before that only answers. Every event
is folded into the state as it is decided; a caller that can't commit the batch must drop that state and read
the log again. Deciding the same input from the same state gives the same events, byte for byte.
"""

from dataclasses import dataclass, field, replace

import msgspec

from dispatcher.batch import BatchInProgress, Decided
from dispatcher.batch_input import LOCATIONS_RECREATED, BatchInput
from dispatcher.commands import prepare, run_command
from dispatcher.limits import DecisionLimits
from dispatcher.log_time import in_log_time, log_time
from dispatcher.market import open_market
from dispatcher.policies import POLICIES
from dispatcher.policies.market import Chain, Drive, Market, Offer
from dispatcher.policies.tuning import Tuning
from dispatcher.timers import run_timers
from taxi import messages as m
from taxi.positions.newest import NewestFixes
from taxi.roads.network import RoadNetwork
from taxi.state import EVENTS_LOST, CityState


@dataclass(frozen=True, kw_only=True)
class DecisionConfig:
    """By what this dispatcher decides. Goes on the log as `PolicyActivated` when it differs."""

    policy: str = "batched"
    limits: DecisionLimits = field(default_factory=DecisionLimits)
    tuning: Tuning = field(default_factory=Tuning)
    seed: int = 0
    data_digest: str = ""
    code_digest: str = ""
    speed: int = 1
    """How many times as fast as log time the people of the city live."""

    def parameters(self) -> dict[str, float | int | str | bool]:
        """As they stand in the event."""
        return {**msgspec.structs.asdict(self.limits), **msgspec.structs.asdict(self.tuning)}

    def is_active(self, policy: m.PolicyActivated | None) -> bool:
        """Whether the log already says so."""
        return policy is not None and (
            (policy.policy, policy.parameters, policy.seed, policy.speed)
            == (self.policy, self.parameters(), self.seed, self.speed)
            and (policy.data_digest, policy.code_digest) == (self.data_digest, self.code_digest)
        )


def decide(
    city: CityState,
    newest: NewestFixes,
    batch_input: BatchInput,
    roads: RoadNetwork,
    decision_config: DecisionConfig,
) -> list[Decided]:
    """The events of the next batch, `BatchClosed` last. Folds them and the positions into the state."""
    before_ms = city.now_ms
    if batch_input.epoch_to_begin is not None and batch_input.epoch_to_begin.reason in LOCATIONS_RECREATED:
        newest.forget_all()
    newest.fold(batch_input.fixes)
    now_ms = log_time(before_ms, newest, batch_input, city.shift_ms)
    shifts_ms = (0, *(shift_ms for _, shift_ms in city.shifts), *_new_shifts_ms(city, newest))
    batch_input = replace(batch_input, commands=in_log_time(batch_input.commands, shifts_ms, now_ms))
    batch = BatchInProgress(city, newest, roads, decision_config.limits, now_ms)
    _begin(batch, batch_input, decision_config)
    interval_ms = decision_config.limits.policy_interval_ms
    is_due = now_ms // interval_ms > before_ms // interval_ms
    if is_due:
        run_timers(batch, batch_input)
    prepare(batch, batch_input.commands)
    for command in batch_input.commands:
        run_command(batch, command)
    if is_due:
        _match(batch, decision_config, before_ms)
    _close(batch, batch_input)
    return batch.events


def _new_shifts_ms(city: CityState, newest: NewestFixes) -> list[int]:
    """What this batch finds to be added to times, the newest last: several if a clock was set back again.

    A command may have been appended between the two, under a shift that no batch closes with.
    """
    known = city.shifts[-1][0] if city.shifts else 0
    found = [set_back.shift_ms for set_back in newest.set_backs if set_back.offset > known]
    return [*found, newest.clock.shift_ms]


def _begin(batch: BatchInProgress, batch_input: BatchInput, decision_config: DecisionConfig) -> None:
    """What must be known before anything is decided."""
    if batch_input.epoch_to_begin is not None:
        city = batch.roads.city.name
        batch.emit(
            m.EpochStarted,
            epoch=batch_input.epoch_to_begin.epoch,
            city=city,
            reason=batch_input.epoch_to_begin.reason,
        )
    _set_back(batch, batch_input)
    for skipped in batch_input.skipped:
        batch.emit(m.InputSkipped, topic=skipped.topic, first=skipped.first, next=skipped.next)
    if not decision_config.is_active(batch.city.policy):
        batch.emit(
            m.PolicyActivated,
            policy=decision_config.policy,
            parameters=decision_config.parameters(),
            seed=decision_config.seed,
            data_digest=decision_config.data_digest,
            code_digest=decision_config.code_digest,
            speed=decision_config.speed,
        )


def _set_back(batch: BatchInProgress, batch_input: BatchInput) -> None:
    """Where the broker's clock was found set back, as far as the log does not say so yet."""
    known = batch.city.shifts[-1][0] if batch.city.shifts else 0
    for set_back in batch.newest.take_set_backs():
        if set_back.offset > known:
            batch.emit(m.ClockSetBack, locations_from=set_back.offset, shift_ms=set_back.shift_ms)
    lost = batch_input.epoch_to_begin is not None and batch_input.epoch_to_begin.reason == EVENTS_LOST
    if lost and (shift_ms := batch.newest.clock.shift_ms):  # a reader that begins here must know
        batch.emit(m.ClockSetBack, locations_from=batch.city.locations_offset, shift_ms=shift_ms)


def _match(batch: BatchInProgress, decision_config: DecisionConfig, before_ms: int) -> None:
    """What the policy wants done, as events; chains are numbered from 1."""
    market = open_market(batch, before_ms, decision_config.tuning)
    chains = 0
    for decision in POLICIES[decision_config.policy].decide(market):
        match decision:
            case Offer():
                _offer(batch, decision, market)
            case Chain():
                chains += 1
                emit_chain(batch, decision, chains)
            case Drive():
                _send_ahead(batch, decision, decision_config.tuning)


def _offer(batch: BatchInProgress, offer: Offer, market: Market) -> None:
    batch.emit(
        m.RideOffered,
        ride=offer.ride,
        attempt=batch.city.rides[offer.ride].attempt + 1,
        expires_ms=batch.city.time.after(batch.now_ms, batch.limits.offer_timeout_ms),
        market_rides=len(market.rides.names),
        market_drivers=len(market.numbers),
        **offer.choice.fields(),
    )


def emit_chain(batch: BatchInProgress, chain: Chain, number: int) -> None:
    """The whole chain: an event for each of its moves, in an order in which each driver is free."""
    for move in chain.moves:
        ride = batch.city.rides[move.ride]
        batch.emit(
            m.RideReassigned,
            ride=move.ride,
            attempt=ride.attempt + 1,
            from_driver=ride.driver,
            chain=number,
            moves=len(chain.moves),
            saves_s=chain.saves_s,
            **move.choice.fields(),
        )


def _send_ahead(batch: BatchInProgress, drive: Drive, tuning: Tuning) -> None:
    batch.emit(
        m.DriverRepositioned,
        driver=drive.driver,
        to=batch.roads.place(drive.node),
        eta_s=drive.eta_s,
        until_ms=batch.city.time.after(batch.now_ms, drive.eta_s * 1000 + tuning.reposition_slack_ms),
        zone=drive.zone,
    )


def _close(batch: BatchInProgress, batch_input: BatchInput) -> None:
    city = batch.city
    batch.emit(
        m.BatchClosed,
        count=len(batch.events) + 1,
        commands_offset=batch_input.commands_offset,
        locations_offset=batch_input.locations_offset,
        commands_digest=batch_input.commands_digest or city.commands_digest,
        locations_digest=batch_input.locations_digest or city.locations_digest,
        previous_producer=batch_input.replaced_producer_id,
        behind=batch_input.behind,
        commands_alone=batch_input.commands_alone,
        shift_ms=batch.newest.clock.shift_ms,
    )
