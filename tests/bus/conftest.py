# SPDX-License-Identifier: Apache-2.0
"""One suite, every implementation."""

import pytest

from tests.bus.lab import Lab
from tests.bus.lab_kafka import KafkaLab

ON_KAFKA = pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.xdist_group("kafka")])


@pytest.fixture(params=[ON_KAFKA])
def lab(request: pytest.FixtureRequest) -> Lab:
    return KafkaLab(request.getfixturevalue("kafka_server"))
