# SPDX-License-Identifier: Apache-2.0
"""Under which name the connections of a peer are counted before their first request."""

import pytest

from gateway.bounds import addresses


@pytest.mark.parametrize(
    ("proxies", "loopback", "peer", "name"),
    [
        ("", False, "203.0.113.9", "203.0.113.9"),
        ("", False, "127.0.0.1", None),
        ("", True, "127.0.0.1", "127.0.0.1"),
        ("", False, "2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("10.0.0.7", False, "10.0.0.7", None),
        ("10.0.0.7", False, "10.0.0.8", "10.0.0.8"),
        ("192.0.2.1, 10.0.0.0/8", False, "10.9.9.9", None),
        ("2001:db8::/32", False, "2001:db8:1:2:aaaa::1", None),
        ("127.0.0.1", True, "127.0.0.1", None),
        ("*", True, "203.0.113.9", None),
        ("", False, "?", "?"),
    ],
)
def test_a_proxy_is_not_counted_and_everybody_else_is(
    proxies: str, loopback: bool, peer: str, name: str | None
) -> None:
    assert addresses(proxies, loopback=loopback)(peer) == name
