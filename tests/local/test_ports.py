# SPDX-License-Identifier: Apache-2.0
"""Ports: free, taken, and by whom."""

import os
import socket
from collections.abc import Iterator

import pytest

from taxi.local.errors import WRONG_USE, LocalError
from taxi.local.ports import PortPool, first_free, holder, is_free, require_free


@pytest.fixture
def taken(ports: PortPool) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", ports.take())) as server:
        yield server.getsockname()[1]


def test_a_port_that_somebody_listens_on_is_not_free(taken: int) -> None:
    assert not is_free(taken)
    assert first_free(taken) > taken


def test_a_port_that_others_share_is_not_free_to_us(ports: PortPool) -> None:
    port = ports.take()
    with socket.create_server(("127.0.0.1", port), reuse_port=True):
        assert not is_free(port)


def test_who_has_a_port_is_named(taken: int) -> None:
    assert f"(pid {os.getpid()})" in (holder(taken) or "")
    with pytest.raises(
        LocalError, match=rf"Port {taken} \(the page\) is taken by .*pid {os.getpid()}"
    ) as caught:
        require_free(taken, purpose="the page", option="--port")
    assert caught.value.code == WRONG_USE
    assert "--port" in caught.value.do


def test_a_port_that_is_spoken_for_is_passed_over(ports: PortPool) -> None:
    port = ports.take()
    assert first_free(port, taken=frozenset({port})) > port
    assert PortPool(port, taken=frozenset({port})).take() > port


def test_a_pool_gives_no_port_twice_in_a_row(ports: PortPool) -> None:
    first = ports.take()
    assert ports.take() > first
