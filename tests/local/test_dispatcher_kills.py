# SPDX-License-Identifier: Apache-2.0
"""The dispatcher that decides is killed under load: nothing is lost, doubled or decided otherwise."""

import asyncio
import uuid
from pathlib import Path

import pytest

from taxistream.local.ports import PortPool
from testing.dispatcher_kills import kill_again_and_again
from testing.kafka_server import KafkaServer
from testing.real_city import real_city
from tests.local.conftest import NEEDS_KAFKA

pytestmark = [*NEEDS_KAFKA, pytest.mark.slow]

KILLS = 3
RESUMED_S_MAX = 20.0
"""bench/dispatcher_kills.py measures it; here other tests run beside."""


@pytest.mark.parametrize("standby", [True, False], ids=["with a standby", "alone"])
def test_decisions_resume_and_the_log_passes_audit_and_replay(
    kafka_server: KafkaServer, tmp_path: Path, ports: PortPool, standby: bool
) -> None:
    prefix = f"k{uuid.uuid4().hex[:8]}."
    with real_city(kafka_server.bootstrap_servers, prefix, tmp_path, ports.take) as city:
        city.make_topics()
        city.start("simulator", "simulator", TAXI_DRIVERS="100")
        kills = asyncio.run(kill_again_and_again(city, KILLS, seed=1, standby=standby))
        assert len(kills.resumed_s) == KILLS
        assert max(kills.resumed_s) < RESUMED_S_MAX
        findings = city.audited()
        assert findings.violations == {}
        assert findings.rides > 0
        verdict = city.replayed()
        assert (verdict.exit_code, verdict.not_verifiable.total()) == (0, 0)
        assert verdict.verified >= findings.batches  # the city goes on between the two
