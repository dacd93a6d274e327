# SPDX-License-Identifier: Apache-2.0
"""Checks that one client can't starve a gateway: runs attacks in turn, beside six ordinary clients.

    python bench/hostile_clients.py [--seconds 10] [--drivers 500] [--memory] [--json] [ATTACK …]

A live city with one gateway that may have 1,024 descriptors, real Kafka (`--memory`: all in one process, on
the bus in memory). For each attack: the longest time for which any of the six was without a cut, the longest
time for which a new client waited for its first one, and by how much memory and descriptors of the gateway
grew. Exit 1 if a bound is broken (--gap, --newcomer, --grown-mb) or an ordinary client was closed. Linux.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.hostile.attacks import NAMES  # noqa: E402 - after the path
from bench.hostile.ordinary import COUNT, Ordinary  # noqa: E402
from taxistream.local.ports import first_free  # noqa: E402
from testing.live_demo import LiveDemo, live_demo, until  # noqa: E402

DESCRIPTORS: Final = 1_024
SETTLE_S: Final = 2.0
"""After an attack: its last connections are still being closed."""
PROCESSES: Final = {
    "silent_sockets": 3,
    "silent_websockets": 2,
    "half_handshakes": 2,
    "churn": 2,
    "images": 2,
}
"""Of an attack; else one."""


def attacked(
    name: str, port: int, asked: argparse.Namespace, ordinary: Ordinary, gateway: psutil.Process
) -> Any:
    """One attack, and what it did."""
    memory_mb = [_mb(gateway)]
    cpu_s = sum(gateway.cpu_times()[:2])
    descriptors = [gateway.num_fds()]
    command = [sys.executable, "-m", "bench.hostile.attacks", name, str(port), str(asked.seconds)]
    ordinary.begin()
    hostile = [subprocess.Popen(command, cwd=ROOT) for _ in range(PROCESSES.get(name, 1))] if name else []
    end_s = time.monotonic() + asked.seconds
    while time.monotonic() < end_s or any(process.poll() is None for process in hostile):
        time.sleep(0.1)
        memory_mb.append(_mb(gateway))
        descriptors.append(gateway.num_fds())
    time.sleep(SETTLE_S)
    ordinary.end()
    return {
        "gap_s": round(ordinary.longest_s, 3),
        "newcomer_s": round(ordinary.newcomer_s, 3),
        "grown_mb": round(max(memory_mb) - memory_mb[0], 1),
        "descriptors": max(descriptors),
        "cpu": round((sum(gateway.cpu_times()[:2]) - cpu_s) / (asked.seconds + SETTLE_S), 2),
        "lost": list(ordinary.lost),
        "failed": [process.returncode for process in hostile if process.returncode],
    }


def _mb(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


def broken(asked: argparse.Namespace, figures: dict[str, Any]) -> list[str]:
    """Which bounds an attack broke."""
    found = []
    for figure, bound in (("gap_s", asked.gap), ("newcomer_s", asked.newcomer), ("grown_mb", asked.grown_mb)):
        if figures[figure] > bound:
            found.append(f"{figure} {figures[figure]} > {bound}")
    if figures["lost"]:
        found.append(f"closed: {figures['lost'][0]}")
    if figures["failed"]:
        found.append("the attack itself failed")
    return found


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Every attack, after a time without any."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, hard),) * 2)
    options = ["--drivers", str(asked.drivers)]
    options += ["--bus", "memory"] if asked.memory else ["--gateways", "1"]
    with tempfile.TemporaryDirectory() as scratch:
        port = first_free(28_600)
        with live_demo(Path(scratch) / "data", port, *options, TAXI_LIMIT_LOOPBACK="true") as demo:
            until(lambda: demo.get("/api/status")["drivers"]["total"] >= asked.drivers, 90, "all drivers")
            return _measured(asked, demo, port)


def _measured(asked: argparse.Namespace, demo: LiveDemo, port: int) -> dict[str, Any]:
    parts = demo.parts()
    gateway = psutil.Process(parts["city" if asked.memory else "gateway-1"]["pid"])
    ordinary = Ordinary(port)
    figures: dict[str, Any] = {}
    with ordinary.watching():
        for name in ("", *(asked.attacks or NAMES)):
            figures[name or "none"] = found = attacked(name, port, asked, ordinary, gateway)
            if not asked.json:
                _print(name or "none", found, broken(asked, found))
    restarted = {name for name, part in demo.parts().items() if part["pid"] != parts[name]["pid"]}
    return {
        "machine": f"{os.cpu_count()} cores, {platform.system()}",
        "drivers": asked.drivers,
        "attacks": figures,
        "restarted": sorted(restarted),
        "broken": {name: why for name, found in figures.items() if (why := broken(asked, found))},
    }


def _print(name: str, found: dict[str, Any], why: list[str]) -> None:
    columns = (
        f"| {name:<20} | {found['gap_s']:>6.3f} | {found['newcomer_s']:>6.3f} | {found['grown_mb']:>6.1f} "
    )
    print(
        f"{columns}| {found['descriptors']:>5} | {found['cpu']:>5.2f} | {'; '.join(why) or 'ok'} |",
        flush=True,
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("attacks", nargs="*", choices=[*NAMES, []], help="all of them if none is named")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--drivers", type=int, default=500)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--gap", type=float, default=0.5)
    parser.add_argument("--newcomer", type=float, default=2.0)
    parser.add_argument("--grown-mb", type=float, default=40.0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if not asked.json:
        print(f"{COUNT} ordinary clients, {asked.drivers} drivers; seconds, megabytes, descriptors, cores")
        print("| attack               |    gap | newcomer | grown | fds |   cpu | |")
    found = measure(asked)
    if asked.json:
        print(json.dumps(found))
    for part in found["restarted"]:
        print(f"{part} was started again", file=sys.stderr)
    return int(bool(found["broken"] or found["restarted"]))


if __name__ == "__main__":
    sys.exit(main())
