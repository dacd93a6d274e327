# SPDX-License-Identifier: Apache-2.0
"""Ports: free, taken, and by which process."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxistream.local.broker import take_ports
from taxistream.local.ports import Holds, PortPool, first_free, holder, is_free, require_free


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


# --- held against other demos -----------------------------------------------------------------------------

RACE = """
import sys
from taxi.runtime.machine_errors import LocalError
from taxistream.local.ports import Holds
holds = Holds()
sys.stdin.readline()  # all begin at once
try:
    if sys.argv[2] == "take":
        print(holds.take(int(sys.argv[1]), purpose="the page", option="--port"), flush=True)
    else:
        print(holds.first(int(sys.argv[1])), flush=True)
except LocalError as error:
    print(error, flush=True)
sys.stdin.readline()  # no process lets go before all have tried
"""


def race(port: int, how: str, runners: int = 6) -> list[str]:
    """What processes say that want this port, or the first free one from it on, at the same moment."""
    command = [sys.executable, "-c", RACE, str(port), how]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    processes: list[subprocess.Popen[str]] = [subprocess.Popen(command, **pipes) for _ in range(runners)]  # type: ignore[call-overload]
    try:
        for process in processes:
            process.stdin.write("\n")  # type: ignore[union-attr]
        return [process.stdout.readline().strip() for process in processes]  # type: ignore[union-attr]
    finally:
        for process in processes:
            process.communicate("\n", timeout=20)


def test_of_demos_that_want_one_port_at_once_one_gets_it(ports: PortPool) -> None:
    port = ports.take()
    said = race(port, "take")
    assert said.count(str(port)) == 1
    assert sum(f"Port {port} (the page) is taken by python" in line for line in said) == 5


def test_demos_that_look_for_a_port_at_once_get_different_ones(ports: PortPool) -> None:
    first = ports.take()
    found = [int(line) for line in race(first, "first")]
    assert len(set(found)) == 6
    assert min(found) == first


def test_a_held_port_can_be_listened_on_and_shared(ports: PortPool) -> None:
    port = ports.take()
    with Holds() as holds:
        holds.take(port, purpose="the page", option="--port")
        for _ in range(2):  # a server that died and is started again
            with (
                socket.create_server(("127.0.0.1", port), reuse_port=True),
                socket.create_server(("127.0.0.1", port), reuse_port=True),
                pytest.raises(LocalError, match="is taken by"),
            ):
                Holds().take(port, purpose="the page", option="--port")
        with pytest.raises(LocalError, match="is taken by"):
            Holds().take(port, purpose="the page", option="--port")
    with Holds() as holds:
        holds.take(port, purpose="the page", option="--port")


@pytest.mark.parametrize(("held", "wanted"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0")])
def test_all_addresses_and_one_of_them_are_the_same_port(ports: PortPool, held: str, wanted: str) -> None:
    port = ports.take()
    with Holds() as holds:
        holds.take(port, purpose="the page", option="--port", host=held)
        with pytest.raises(LocalError, match="is taken by"):
            Holds().take(port, purpose="the page", option="--port", host=wanted)


def test_one_demo_does_not_use_a_port_twice(ports: PortPool) -> None:
    port = ports.take()
    with Holds() as holds:
        holds.take(port, purpose="the page", option="--port")
        with pytest.raises(LocalError, match=f"Port {port} cannot be Kafka and something else"):
            holds.take(port, purpose="Kafka", option="--kafka-port")
        assert holds.first(port) > port


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "." * 300])
def test_an_address_that_is_none_of_ours_is_named_and_not_the_port(ports: PortPool, host: str) -> None:
    with pytest.raises(LocalError, match="can't listen there") as caught:
        require_free(ports.take(), purpose="the page", option="--port", host=host)
    assert f"TAXI_HOST={host}" in caught.value.what


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_a_port_for_root_alone_is_named_with_what_to_do() -> None:
    code = (
        "import encodings.idna, os; from taxi.runtime.machine_errors import LocalError\n"
        "from taxistream.local.ports import Holds; os.setuid(65534)\n"
        "try: Holds().take(80, purpose='the page', option='--port')\n"
        "except LocalError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if not done.stdout:
        pytest.skip("any user may listen on port 80 here")
    assert "Port 80 (the page) is not for this user" in done.stdout
    assert "1024" in done.stdout


def test_the_highest_port_leaves_the_controller_another() -> None:
    with Holds() as holds:
        port, controller = take_ports(65_535, frozenset(), holds)
    assert (port, controller < port) == (65_535, True)
