# SPDX-License-Identifier: Apache-2.0
"""docker-compose.yml and what it refers to, read without a container engine."""

import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.core
import typer.main
import yaml

from scripts.fuzz_settings import SETTINGS
from taxistream.cli import app
from taxistream.local import broker_files

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
LOAD_BALANCER = (ROOT / "deploy" / "haproxy.cfg").read_text()
# The services that run this project's own image, and the kind of each.
IMAGE = COMPOSE["x-part"]["image"]
PARTS = {name: about["command"][0] for name, about in SERVICES.items() if about["image"] == IMAGE}
LONG_LIVED = [name for name, kind in PARTS.items() if kind != "topics"]
PINNED = re.compile(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*")


def is_one_shot(name: str) -> bool:
    return bool(SERVICES[name].get("restart") == "no")


def waits_of(name: str) -> dict[str, str]:
    return {other: wait["condition"] for other, wait in SERVICES[name].get("depends_on", {}).items()}


def test_the_file_has_no_version_key() -> None:
    assert "version" not in COMPOSE


def test_there_are_a_broker_two_of_gateways_and_dispatchers_one_of_the_rest_and_one_address() -> None:
    kinds = ["dispatcher", "dispatcher", "gateway", "gateway", "simulator", "topics", "verifier"]
    assert sorted(PARTS.values()) == kinds
    assert set(SERVICES) - set(PARTS) == {"kafka", "city"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_a_health_check_or_runs_once(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check.get("test") or (is_one_shot(name) and check == {"disable": True})


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_until_what_it_needs_is_healthy_or_done(name: str) -> None:
    for other, condition in waits_of(name).items():
        wanted = "service_completed_successfully" if is_one_shot(other) else "service_healthy"
        assert condition == wanted, f"{name} waits for {other}"


@pytest.mark.parametrize("name", LONG_LIVED)
def test_a_part_waits_for_the_broker_and_its_topics(name: str) -> None:
    assert {"kafka", "topics"} <= set(waits_of(name))


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_alone(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+", port), "and may be chosen"


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])


@pytest.mark.parametrize("name", LONG_LIVED)
def test_the_environment_of_a_part_is_what_its_settings_take(name: str) -> None:
    read = SETTINGS[PARTS[name]].from_env(SERVICES[name]["environment"])
    assert read.kafka_bootstrap_servers == "kafka:19092"
    assert read.name.startswith(PARTS[name])


@pytest.mark.parametrize("name", PARTS)
def test_the_command_of_a_part_is_one_that_taxi_takes(name: str) -> None:
    kind, *options = SERVICES[name]["command"]
    commands = typer.main.get_command(app)
    assert isinstance(commands, typer.core.TyperGroup)
    assert commands.commands[kind].make_context(kind, options).info_name == kind


def test_one_service_builds_the_image_and_runs_before_the_others_that_name_it() -> None:
    assert [name for name, about in SERVICES.items() if "build" in about] == ["topics"]
    assert all(SERVICES[name]["pull_policy"] == "never" for name in LONG_LIVED)


@pytest.mark.parametrize("status", [200, 503])
def test_the_health_check_asks_the_admin_port_without_starting_python(status: int) -> None:
    class Admin(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Admin) as admin:
        serving = threading.Thread(target=admin.handle_request)
        serving.start()
        check = COMPOSE["x-part"]["healthcheck"]["test"]
        assert check[:3] == ["CMD", "bash", "-c"]
        port = SERVICES["gateway-1"]["environment"]["TAXI_ADMIN_PORT"]
        script = check[3].replace("$$", "$").replace(f"/127.0.0.1/{port}", f"/127.0.0.1/{admin.server_port}")
        done = subprocess.run(["bash", "-c", script], check=False, timeout=30)
        serving.join()
    assert (done.returncode == 0) == (status == 200)


@pytest.mark.parametrize("name", LONG_LIVED)
def test_others_on_the_network_can_probe_and_scrape_a_part(name: str) -> None:
    assert SERVICES[name]["environment"]["TAXI_ADMIN_HOST"] == "0.0.0.0"
    assert all(":9000" not in port for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", LONG_LIVED)
def test_a_part_with_a_bad_setting_is_not_restarted_for_ever(name: str) -> None:
    assert re.fullmatch(r"on-failure:\d+", SERVICES[name]["restart"])


def test_what_has_something_to_finish_gets_time_for_it() -> None:
    def seconds(name: str) -> int:
        return int(SERVICES[name]["stop_grace_period"].removesuffix("s"))

    assert seconds("kafka") >= 60
    assert all(seconds(name) > 10 for name in LONG_LIVED)
    # SIGUSR1 makes HAProxy wait for open sockets, and a city's never close by themselves.
    assert re.search(r"^\s*hard-stop-after \d+s$", LOAD_BALANCER, re.MULTILINE)


def test_the_load_balancer_finds_the_names_of_any_engine() -> None:
    assert "parse-resolv-conf" in LOAD_BALANCER
    assert "nameserver" not in LOAD_BALANCER


def test_travel_tables_are_in_the_image_and_readable_by_its_user() -> None:
    build, last = DOCKERFILE.split("\nFROM base\n")
    [folder] = re.findall(r"TAXI_CACHE_DIR=(\S+) /opt/taxi/bin/python", build)
    assert f"chmod -R a+rX {folder}" in build
    assert f"TAXI_CACHE_DIR={folder}\n" in last


def test_the_broker_tells_containers_and_this_machine_an_address_each_can_reach() -> None:
    environment = SERVICES["kafka"]["environment"]
    advertised = dict(entry.split("://") for entry in environment["KAFKA_ADVERTISED_LISTENERS"].split(","))
    listening = dict(entry.split("://") for entry in environment["KAFKA_LISTENERS"].split(","))
    assert advertised == {"INNER": "kafka:19092", "OUTER": "127.0.0.1:${KAFKA_PORT:-9092}"}
    assert listening["INNER"].endswith(":19092")
    assert SERVICES["kafka"]["ports"] == [f"{advertised['OUTER']}{listening['OUTER']}"]
    assert set(
        environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].replace(":PLAINTEXT", "").split(",")
    ) == set(listening)


def test_the_broker_is_set_like_the_one_that_needs_no_container() -> None:
    properties = {
        key.removeprefix("KAFKA_").lower().replace("_", "."): value
        for key, value in SERVICES["kafka"]["environment"].items()
    }
    for_one_process_only = {"listener.security.protocol.map", "controller.listener.names"}
    both = (properties.keys() & broker_files._SETTINGS.keys()) - for_one_process_only
    assert {key: properties[key] for key in both} == {key: str(broker_files._SETTINGS[key]) for key in both}
    timing = {
        key for key in broker_files._SETTINGS if key.startswith(("broker.", "group.", "transaction.abort"))
    }
    assert timing <= both


def test_the_load_balancer_is_before_every_gateway() -> None:
    servers = re.findall(r"^\s*server (\S+) (\S+)$", LOAD_BALANCER, re.MULTILINE)
    gateways = sorted(name for name, kind in PARTS.items() if kind == "gateway")
    assert servers == [(name, f"{name}:8000") for name in gateways]
    assert gateways == sorted(waits_of("city"))


def test_the_load_balancer_passes_the_address_of_clients_on_and_is_believed() -> None:
    assert "http-request set-header X-Forwarded-For %[src]" in LOAD_BALANCER
    for name in (name for name, kind in PARTS.items() if kind == "gateway"):
        trusted = SERVICES[name]["environment"]["TAXI_TRUSTED_PROXIES"].split(",")
        assert all(ip_network(network).is_private for network in trusted)
        assert not any(ip_address("203.0.113.9") in ip_network(network) for network in trusted)
        assert "ports" not in SERVICES[name], "what it believes must not reach it from elsewhere"


def test_the_load_balancer_asks_for_readiness_where_gateways_serve_it() -> None:
    assert "option httpchk GET /readyz" in LOAD_BALANCER


@pytest.mark.parametrize("name", SERVICES)
def test_a_file_that_is_mounted_exists(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source, _, options = volume.partition(":")
        assert source in COMPOSE["volumes"] or ((ROOT / source).is_file() and options.endswith(":ro,z"))


def test_the_image_starts_from_pinned_ones() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.MULTILINE))
    for image in re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE):
        assert image in stages or PINNED.fullmatch(image)


def test_the_image_does_not_run_as_root() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    users = re.findall(r"^USER (\S+)", last_stage, re.MULTILINE)
    assert users
    assert int(users[-1]) > 0


def test_the_image_takes_every_package_by_its_hash() -> None:
    for command in re.findall(r"pip[^&\n]*install[^&\n]*-r [^&\n]*", DOCKERFILE):
        assert "--require-hashes" in command


def test_what_the_image_is_made_from_is_let_into_the_build() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    needed = {
        "pyproject.toml",
        "hatch_build.py",
        "requirements",
        "scripts/front_end.py",
        "LICENSE",
        "THIRD_PARTY.md",
    }
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {
        "tests",
        "testing",
        "scripts",
        "bench",
    }
    assert needed | packages <= let_in
