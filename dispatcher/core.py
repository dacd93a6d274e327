# SPDX-License-Identifier: Apache-2.0
"""Decides a batch: a pure function of the city's state and a cut of the log. No await, clock or chance.

Order within a batch: fixes up to the cut, timers, commands in offset order, then the policy. Timers and
policy wait until log time passes their next multiple; a batch before that only answers. Every event
is folded into the state as it is decided; whoever can't commit the batch must drop that state and read
the log again. Deciding the same cut from the same state gives the same events, byte for byte.
"""

from dataclasses import dataclass, field

import msgspec

from dispatcher.batch import Batch, Decided
from dispatcher.commands import run_command
from dispatcher.cut import LOCATIONS_RECREATED, Cut
from dispatcher.limits import Limits
from dispatcher.market import open_market
from dispatcher.policies import POLICIES
from dispatcher.policies.market import Chain, Drive, Market, Offer
from dispatcher.policies.tuning import Tuning
from dispatcher.timers import run_timers
from taxi import messages as m
from taxi.city import CityState
from taxi.newest import NewestFixes
from taxi.roads import RoadNetwork


@dataclass(frozen=True, kw_only=True)
class Mandate:
    """By what this dispatcher decides. Goes on the log as `PolicyActivated` when it differs."""

    policy: str = "batched"
    limits: Limits = field(default_factory=Limits)
    tuning: Tuning = field(default_factory=Tuning)
    seed: int = 0
    data_digest: str = ""
    code_digest: str = ""

    def parameters(self) -> dict[str, float | int | str | bool]:
        """As they stand in the event."""
        return {**msgspec.structs.asdict(self.limits), **msgspec.structs.asdict(self.tuning)}

    def is_active(self, policy: m.PolicyActivated | None) -> bool:
        """Whether the log already says so."""
        return policy is not None and (
            (policy.policy, policy.parameters, policy.seed, policy.data_digest, policy.code_digest)
            == (self.policy, self.parameters(), self.seed, self.data_digest, self.code_digest)
        )


def decide(
    city: CityState, newest: NewestFixes, cut: Cut, roads: RoadNetwork, mandate: Mandate
) -> list[Decided]:
    """The events of the next batch, `BatchClosed` last. Folds them into `city`, the fixes into `newest`."""
    before_ms = city.now_ms
    now_ms = max(before_ms, cut.heard_ms)
    if cut.epoch is not None and cut.epoch.reason in LOCATIONS_RECREATED:
        newest.forget_all()
    newest.fold(cut.fixes)
    batch = Batch(city, newest, roads, mandate.limits, now_ms)
    _begin(batch, cut, mandate)
    interval_ms = mandate.limits.policy_interval_ms
    is_due = now_ms // interval_ms > before_ms // interval_ms
    if is_due:
        run_timers(batch)
    for command in cut.commands:
        run_command(batch, command)
    if is_due:
        _match(batch, mandate, before_ms)
    _close(batch, cut)
    return batch.events


def _begin(batch: Batch, cut: Cut, mandate: Mandate) -> None:
    """What must be known before anything is decided."""
    if cut.epoch is not None:
        city = batch.roads.city.name
        batch.emit(m.EpochStarted, epoch=cut.epoch.epoch, city=city, reason=cut.epoch.reason)
    for skipped in cut.skipped:
        batch.emit(m.InputSkipped, topic=skipped.topic, first=skipped.first, next=skipped.next)
    if not mandate.is_active(batch.city.policy):
        batch.emit(
            m.PolicyActivated,
            policy=mandate.policy,
            parameters=mandate.parameters(),
            seed=mandate.seed,
            data_digest=mandate.data_digest,
            code_digest=mandate.code_digest,
        )


def _match(batch: Batch, mandate: Mandate, before_ms: int) -> None:
    """What the policy wants done, as events; chains are numbered from 1."""
    market = open_market(batch, before_ms, mandate.tuning)
    chains = 0
    for decision in POLICIES[mandate.policy].decide(market):
        match decision:
            case Offer():
                _offer(batch, decision, market)
            case Chain():
                chains += 1
                _order(batch, decision, chains)
            case Drive():
                _send_ahead(batch, decision, mandate.tuning)


def _offer(batch: Batch, offer: Offer, market: Market) -> None:
    batch.emit(
        m.RideOffered,
        ride=offer.ride,
        attempt=batch.city.rides[offer.ride].attempt + 1,
        expires_ms=batch.now_ms + batch.limits.offer_timeout_ms,
        market_rides=len(market.rides.names),
        market_drivers=len(market.numbers),
        **offer.choice.fields(),
    )


def _order(batch: Batch, chain: Chain, number: int) -> None:
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


def _send_ahead(batch: Batch, drive: Drive, tuning: Tuning) -> None:
    batch.emit(
        m.DriverRepositioned,
        driver=drive.driver,
        to=batch.roads.place(drive.node),
        eta_s=drive.eta_s,
        until_ms=batch.now_ms + drive.eta_s * 1000 + tuning.reposition_slack_ms,
        zone=drive.zone,
    )


def _close(batch: Batch, cut: Cut) -> None:
    city = batch.city
    batch.emit(
        m.BatchClosed,
        count=len(batch.events) + 1,
        commands_offset=cut.commands_offset,
        locations_offset=cut.locations_offset,
        commands_digest=cut.commands_digest or city.commands_digest,
        locations_digest=cut.locations_digest or city.locations_digest,
    )
