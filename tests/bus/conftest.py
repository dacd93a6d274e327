# SPDX-License-Identifier: Apache-2.0
"""One suite, every implementation."""

import pytest

from tests.bus.lab import Lab
from tests.bus.lab_kafka import KafkaLab
from tests.bus.lab_memory import CalmLab, HarshLabs

ON_KAFKA = pytest.param("kafka", marks=pytest.mark.kafka)


@pytest.fixture(params=["memory", "harsh memory", ON_KAFKA])
def lab(request: pytest.FixtureRequest) -> Lab | HarshLabs:
    if request.param == "memory":
        return CalmLab()
    if request.param == "harsh memory":
        return HarshLabs()
    return KafkaLab(request.getfixturevalue("kafka_server"))
