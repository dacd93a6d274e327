# SPDX-License-Identifier: Apache-2.0
"""What a link makes of a cluster that tells of no broker: nothing worse than one that is away."""

import pytest
from aiokafka.errors import StaleMetadata

from taxi.bus.kafka.limits import KafkaLimits
from taxi.bus.kafka.link import KafkaLink
from taxi.runtime.settings import Settings


async def test_a_cluster_without_brokers_is_asked_again_and_ends_no_process() -> None:
    link = KafkaLink(Settings(), "test", KafkaLimits())
    try:
        with pytest.raises(StaleMetadata) as raised:
            await link.reach_coordinator("taxi.dispatcher.0")
        assert raised.value.retriable
    finally:
        await link.close()
