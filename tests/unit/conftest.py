# SPDX-License-Identifier: Apache-2.0
"""Unit tests run on asyncio alone, as the product does."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
