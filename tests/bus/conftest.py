# SPDX-License-Identifier: Apache-2.0
"""One suite, every implementation."""

import pytest

from tests.bus.harness import BusHarness
from tests.bus.harness_kafka import KafkaHarness
from tests.bus.harness_memory import CalmHarness, HarshHarnesses

ON_KAFKA = pytest.param("kafka", marks=pytest.mark.kafka)


@pytest.fixture(params=["memory", "harsh memory", ON_KAFKA])
def harness(request: pytest.FixtureRequest) -> BusHarness | HarshHarnesses:
    if request.param == "memory":
        return CalmHarness()
    if request.param == "harsh memory":
        return HarshHarnesses()
    return KafkaHarness(request.getfixturevalue("kafka_server"))
