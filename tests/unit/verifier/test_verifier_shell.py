# SPDX-License-Identifier: Apache-2.0
"""What a verifier says while something is in its way, against a memory broker in virtual time."""

from collections.abc import Coroutine
from typing import Any

import pytest

from taxi import messages as m
from taxi import topics
from taxi.bus import Outgoing
from taxi.bus.memory.bus import MemoryLimits
from taxi.messages import codec
from testing.memory_world import MemoryWorld, Spy
from verifier.gateway_check import GatewayCheck
from verifier.gateway_client import GatewayClient
from verifier.settings import Settings
from verifier.shell import main

START_MS = 1_750_000_000_000
LIMITS = MemoryLimits(give_up_s=2.0, request_s=0.5, end_transaction_s=0.3)
GATEWAYS = 2


class World(MemoryWorld):
    """A log, and a verifier whose clients reach no gateway: in virtual time there are no real sockets."""

    def __init__(self) -> None:
        super().__init__(1, start_ms=START_MS, limits=LIMITS, look_every_s=0.1)

    def run(self, scenario: Coroutine[Any, Any, None]) -> None:
        try:
            self.loop.run_until_complete(scenario)
            assert self.loop.errors == []
        finally:
            self.loop.shut_down()

    def start(self) -> Spy:
        _, spy, _ = self.spawn("verifier", Settings(name="verifier", gateways=GATEWAYS), "x", main)
        return spy

    def batch(self, number: int) -> None:
        when: dict[str, Any] = {"batch": number, "at_ms": START_MS + number}
        events: list[m.Event] = [m.BatchClosed(**when, count=1, commands_offset=0, locations_offset=0)]
        if number == 1:
            events = [
                m.EpochStarted(**when, epoch="e" * 16, city="manhattan"),
                m.BatchClosed(**when, count=2, commands_offset=0, locations_offset=0),
            ]
        records = [Outgoing(b"", codec.encode(event)) for event in events]
        self.broker.partition(topics.EVENTS, 0).append(records, START_MS)

    def verdicts(self) -> list[m.Verdict]:
        place = self.broker.partition(topics.VERDICTS, 0)
        return [
            codec.decode(topics.VERDICTS, record) for record in place.fetch(0, 999, committed=True).records
        ]

    def codes(self) -> list[str]:
        return [fault.code for fault in self.faults[0].current]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    for name in ("start", "stop", "try_another"):
        monkeypatch.setattr(GatewayClient, name, lambda _: None)
    monkeypatch.setattr(GatewayClient, "tick", lambda _, __: None)
    return World()


def test_without_gateways_it_is_not_ready_and_says_so_after_a_while(world: World) -> None:
    async def scenario() -> None:
        world.batch(1)
        spy = world.start()
        await world.until(lambda: len(world.verdicts()) == 3)
        assert world.codes() == []
        await world.until(lambda: "gateways_unchecked" in world.codes())
        assert not spy.is_ready
        assert [each.gateways for each in world.verdicts()] == [[]] * len(world.verdicts())

    world.run(scenario())


def test_a_log_without_its_beginning_is_not_folded(world: World) -> None:
    async def scenario() -> None:
        for number in range(1, 4):
            world.batch(number)
        world.broker.partition(topics.EVENTS, 0).delete_before(2)
        spy = world.start()
        await world.until(lambda: "log_not_folded" in world.codes())
        assert not spy.is_ready
        assert world.verdicts() == []

    world.run(scenario())


def test_a_log_that_breaks_a_rule_while_it_is_read_is_not_folded_any_further(world: World) -> None:
    async def scenario() -> None:
        world.batch(1)
        world.start()
        await world.until(lambda: len(world.verdicts()) == 2)
        when: dict[str, Any] = {"batch": 2, "at_ms": START_MS + 2}
        illegal = [
            m.RideExpired(**when, ride="unknown"),
            m.BatchClosed(**when, count=2, commands_offset=0, locations_offset=0),
        ]
        records = [Outgoing(b"", codec.encode(event)) for event in illegal]
        world.broker.partition(topics.EVENTS, 0).append(records, START_MS)
        await world.until(lambda: "log_not_folded" in world.codes())

    world.run(scenario())


def test_it_waits_for_a_broker_that_is_away(world: World) -> None:
    async def scenario() -> None:
        world.batch(1)
        world.broker.harshness.down = True
        spy = world.start()
        await world.until(lambda: "no broker" in spy.said)
        world.broker.harshness.down = False
        await world.until(lambda: bool(world.verdicts()))

    world.run(scenario())


def test_what_differs_is_a_fault_of_its_gateway_until_it_is_right(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = ["wrong_hash", ""]
    checks: list[GatewayCheck] = []

    def judge(self: GatewayCheck, *_: object) -> bool:
        if self not in checks:
            checks.append(self)
        number = checks.index(self)
        self._result = m.CheckedGateway(
            gateway=f"gateway-{number + 1}",
            loc=0,
            ev=0,
            cut_ms=0,
            checked=1,
            rule=rules[number],
            text="a for b",
        )
        return True

    monkeypatch.setattr(GatewayCheck, "judge", judge)

    async def scenario() -> None:
        world.batch(1)
        spy = world.start()
        await world.until(lambda: "differs_from_log" in world.codes())
        await world.until(lambda: spy.is_ready)
        [fault] = world.faults[0].current
        assert (fault.about, fault.blocks) == ("gateway-1", False)
        assert "gateway-1 does not send what the log says (wrong_hash): a for b" in fault.text
        assert spy.counts["verifier_updates_wrong_total gateway-1 wrong_hash"] > 0
        assert [one.gateway for one in world.verdicts()[-1].gateways] == ["gateway-1", "gateway-2"]
        rules[0] = ""
        await world.until(lambda: world.codes() == [])

    world.run(scenario())
