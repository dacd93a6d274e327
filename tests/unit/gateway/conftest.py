# SPDX-License-Identifier: Apache-2.0
"""A lab for each test, and nothing left of it afterwards."""

from collections.abc import Iterator

import pytest

from tests.unit.gateway.lab import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    for _, _, node in lab.gateways.values():
        lab.loop.kill(node)
    lab.loop.bury()
