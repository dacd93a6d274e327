# SPDX-License-Identifier: Apache-2.0
"""What the tests of the dispatcher's shell share."""

import pytest

from tests.unit.dispatcher.harness import DispatcherHarness


@pytest.fixture
def harness() -> DispatcherHarness:
    return DispatcherHarness()
