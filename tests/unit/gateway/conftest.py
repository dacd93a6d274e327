# SPDX-License-Identifier: Apache-2.0
"""A harness for each test, and nothing left of it afterwards."""

from collections.abc import Iterator

import pytest

from testing.gateway_harness import GatewayHarness


@pytest.fixture
def harness() -> Iterator[GatewayHarness]:
    harness = GatewayHarness()
    yield harness
    for _, _, node in harness.gateways.values():
        harness.loop.kill(node)
    harness.loop.shut_down()
