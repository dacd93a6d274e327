# SPDX-License-Identifier: Apache-2.0
"""A demo on three brokers: one is killed and loses its disk, and the stream goes on meanwhile."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from taxistream.local.broker_cluster import nodes
from taxistream.local.ports import PortPool
from testing.live_demo import LiveDemo, live_demo, until
from tests.local.conftest import NEEDS_KAFKA

pytestmark = [*NEEDS_KAFKA, pytest.mark.slow]

BROKERS = ["kafka-1", "kafka-2", "kafka-3"]


def read_positions(city: LiveDemo) -> int:
    """How much of the locations topic the gateways have read."""
    status: dict[str, Any] = city.get("/api/status")
    return int(status["cursor"]["loc"])


def test_a_broker_that_lost_its_disk_is_missed_for_seconds_and_comes_back(
    tmp_path: Path, ports: PortPool
) -> None:
    with live_demo(tmp_path / "city", ports.take(), "--brokers", "3", "--drivers", "60") as city:
        assert [name for name in city.parts() if name.startswith("kafka")] == BROKERS
        topics = city.taxi("topics", "--check", "--bounded")
        assert topics["differences"] == []
        first = read_positions(city)
        until(lambda: read_positions(city) > first, 30, "positions arrive")

        lost = nodes(tmp_path / "city" / "kafka", 3)[1]
        shutil.rmtree(lost.data)
        city.taxi("kill", "kafka-2")
        before = read_positions(city)
        until(lambda: read_positions(city) > before + 60, 30, "positions arrive while a broker is away")
        until(lambda: city.parts()["kafka-2"]["restarts"] >= 1 and city.all_ready(), 90, "it is back")
        assert lost.cluster_id() is not None
        assert lost.has_run

        # Now another one may fail: the one that came back is one of the two that acknowledge.
        city.taxi("kill", "kafka-1")
        before = read_positions(city)
        until(lambda: read_positions(city) > before + 60, 30, "positions arrive with the new copy")
        until(city.all_ready, 90, "every part is ready")
        assert city.taxi("audit")["violations"] == {}
