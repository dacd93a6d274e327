# SPDX-License-Identifier: Apache-2.0
"""Two cities over two dispatchers on a real Kafka: they move, and nothing is decided twice or lost."""

import uuid
from pathlib import Path

import pytest

from taxistream.local.ports import PortPool
from testing.kafka_server import KafkaServer
from testing.real_city import RealPart, real_city, wait_for
from tests.local.conftest import NEEDS_KAFKA

pytestmark = [*NEEDS_KAFKA, pytest.mark.slow]

WITHIN_S = 90
CITIES = "manhattan,helsinki"


def cities_of(part: RealPart) -> set[str]:
    """What it decides for, as far as it has said: recovered since the group last gave."""
    cities: set[str] = set()
    for line in part.lines():
        if line["event"] in {"assigned", "standing by"}:
            cities = set()
        elif line["event"] == "city recovered":
            cities.add(line["city"])
    return cities


def test_cities_move_between_dispatchers_without_a_double_or_lost_decision(
    kafka_server: KafkaServer, tmp_path: Path, ports: PortPool
) -> None:
    prefix = f"c{uuid.uuid4().hex[:8]}."
    with real_city(kafka_server.bootstrap_servers, prefix, tmp_path, ports.take) as city:
        city.make_topics(CITIES)
        one, two = city.start("one"), city.start("two")
        for number, name in enumerate(("manhattan", "helsinki")):
            city.start(f"simulator-{number}", "simulator", TAXI_CITY=name, TAXI_DRIVERS="50")

        def shared_out() -> bool:
            each = [cities_of(part) for part in (one, two)]
            ready = one.is_ready() and two.is_ready()
            return ready and sorted(map(len, each)) == [1, 1] and each[0] != each[1]

        wait_for(shared_out, WITHIN_S, "each has a city")
        one.kill()
        wait_for(lambda: len(cities_of(two)) == 2 and two.is_ready(), WITHIN_S, "one has both")
        one.restart()
        wait_for(shared_out, WITHIN_S, "each has a city again")
        found = city.audited()
        assert found.violations == {}
        assert found.commands > 0
        for partition in (0, 1):
            verdict = city.replayed(partition)
            assert (verdict.exit_code, verdict.not_verifiable.total()) == (0, 0)
            assert verdict.first == 1
