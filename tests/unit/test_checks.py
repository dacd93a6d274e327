# SPDX-License-Identifier: Apache-2.0
"""Which addresses are this machine's own."""

import pytest

from taxi.runtime.checks import is_loopback


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.1.1", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST.", "taxi.localhost"]
)
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "10.0.0.1", "notlocalhost", "localhost.evil.example", "unknown", "", "127.0.0.1:80"],
)
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
