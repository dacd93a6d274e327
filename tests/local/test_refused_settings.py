# SPDX-License-Identifier: Apache-2.0
"""A bad setting ends every command alike: exit code 2, one sentence that names it, and no traceback."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.local.conftest import TAXI, Taxi

READS_SETTINGS = (
    ["audit"],
    ["replay", "--verify"],
    ["topics"],
    ["loadtest", "--url", "http://127.0.0.1:9"],
    ["status"],
    ["ps"],
    ["token"],
    ["demo", "--no-browser"],
    ["gateway"],
    ["dispatcher"],
    ["simulator"],
)
BAD = (
    ("KAFKA_BOOTSTRAP_SERVERS", "a:b:c"),
    ("KAFKA_SSL_CAFILE", "/no/such/ca.pem"),
    ("TAXI_CITY", "atlantis"),
    ("TAXI_LOG_LEVEL", "\udcff"),
)


def assert_refused(done: "subprocess.CompletedProcess[str]", name: str) -> None:
    assert done.returncode == 2, done
    assert not done.stdout
    assert "Traceback" not in done.stderr
    [line] = done.stderr.splitlines()
    assert f"{name}=" in line


@pytest.mark.parametrize("command", READS_SETTINGS, ids=" ".join)
def test_every_command_names_a_bad_setting(taxi: Taxi, command: list[str]) -> None:
    name, value = BAD[READS_SETTINGS.index(command) % len(BAD)]
    done = taxi(*command, **{name: value})
    assert_refused(done, name)
    if value.isascii():
        assert value in done.stderr, "as it was written"


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        ("gateway", "TAXI_TRUSTED_PROXIES", "zzz"),
        ("gateway", "TAXI_ALLOWED_ORIGINS", "taxi.example, *"),
        ("dispatcher", "TAXI_POLICY", "patient"),
        ("simulator", "TAXI_LOAD", "nan"),
    ],
)
def test_the_demo_refuses_what_would_end_one_of_its_parts(
    taxi: Taxi, command: str, name: str, value: str
) -> None:
    assert_refused(taxi(command, **{name: value}), name)
    if name != "TAXI_LOAD":  # an option of the demo
        assert_refused(taxi("demo", "--no-browser", **{name: value}), name)


def test_a_service_of_ones_own_is_not_run_to_look_at_its_settings(taxi: Taxi, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "dispatcher.py").write_text("raise RuntimeError('it ran')")
    done = taxi("demo", "--no-browser", PYTHONPATH=str(tmp_path / "own"), TAXI_CLIENTS_MAX="many")
    assert_refused(done, "TAXI_CLIENTS_MAX")


def test_page_and_broker_on_one_port_are_refused(taxi: Taxi) -> None:
    done = taxi("demo", "--no-browser", "--port", "23046", "--kafka-port", "23046")
    assert done.returncode == 2
    assert "cannot share port 23046" in done.stderr


def test_an_address_of_another_machine_is_refused(taxi: Taxi) -> None:
    done = taxi("demo", "--no-browser", "--port", "23045", TAXI_HOST="192.0.2.1")
    assert done.returncode == 2
    assert "TAXI_HOST=192.0.2.1" in done.stderr
    assert "Port 23045" not in done.stderr


def _is_free_for_users(port: int) -> bool:
    first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    return not first.is_file() or int(first.read_text()) <= port


@pytest.mark.skipif(os.getuid() == 0 or _is_free_for_users(80), reason="this user may listen on port 80")
def test_a_port_that_is_not_for_users_is_refused(taxi: Taxi) -> None:
    done = taxi("demo", "--no-browser", "--port", "80")
    assert done.returncode == 2
    assert "not for this user" in done.stderr


@pytest.mark.parametrize("command", [["ps"], ["token"], ["doctor", "--json"]])
def test_service_links_of_kubernetes_end_no_command(taxi: Taxi, command: list[str]) -> None:
    links = {
        "TAXI_PORT": "tcp://10.0.0.1:8000",
        "TAXI_SERVICE_HOST": "10.0.0.1",
        "TAXI_TOKEN_SECRET": "x" * 32,
    }
    done = taxi(*command, **links)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("enableServiceLinks") == 1
    assert done.returncode in {0, 1}, "1: the doctor found something else"


def test_a_demo_that_all_may_use_says_so_in_red(tmp_path: Path) -> None:
    """Refused because of its data directory, after the warning."""
    (tmp_path / "mine").write_text("")
    done = subprocess.run(
        [TAXI, "demo", "--no-browser", "--port", "23044", "--data-dir", str(tmp_path)],
        env={**os.environ, "TAXI_HOST": "0.0.0.0", "FORCE_COLOR": "1", "TERM": "xterm"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "\x1b[1;31mTAXI_HOST=0.0.0.0: anyone" in done.stderr
    assert "TAXI_TOKEN_SECRET" in done.stderr


def test_an_empty_host_is_this_machine_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    done = subprocess.run(
        [TAXI, "demo", "--no-browser", "--port", "23043", "--data-dir", str(tmp_path)],
        env={**os.environ, "TAXI_HOST": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "anyone" not in done.stderr  # as the test above, where everyone may connect
    assert done.returncode == 2  # the folder is somebody else's
