# SPDX-License-Identifier: Apache-2.0
"""Measures the cost of sending a city to a thousand clients, and the age of the positions that they get.

    python bench/fanout.py [--clients 1000] [--drivers 10000] [--seconds 20] [--part peer] [--json]

peer     the stream beside the Go library Centrifuge: CPU of one frame to one client, at 1 and 16 KB
gateway  a real gateway on a real Kafka: idle, with clients, and append → client; positions alone
city     append → client with simulator and dispatcher on the same machine
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from taxi import topics  # noqa: E402 - after the path
from taxi.bus.kafka.bus import KafkaBus  # noqa: E402
from taxi.bus.ranges import read_range  # noqa: E402
from taxi.runtime.settings import Settings  # noqa: E402
from taxistream.local.ports import first_free  # noqa: E402

PEER = ROOT / "bench" / "centrifuge"
HZ = 10
PEER_BYTES = (1_000, 16_000)
PEER_ROUNDS = 3
PEER_SECONDS = 5
SETTLE_S = 4.0
BINS_MS = 4_000


@contextmanager
def running(*command: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process within the block. Its standard output can be read."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if not os.environ.get("BENCH_LOUD") else None,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def python(*arguments: str, **environ: str) -> Any:
    """Run a Python module of this repository within the block."""
    return running(sys.executable, "-m", *arguments, **environ)


def line(process: subprocess.Popen[str]) -> str:
    """The next line of its output."""
    assert process.stdout is not None
    said = process.stdout.readline()
    if not said:
        raise RuntimeError(f"{process.args!r} ended without a word (BENCH_LOUD=1 shows why)")
    return said


# --- beside Centrifuge -----------------------------------------------------------------------------------


def peer_program(scratch: Path) -> Path | None:
    """Centrifuge, built; None where there is no Go."""
    go = shutil.which("go")
    if go is None:
        sys.stderr.write("NO GO HERE: the comparison with Centrifuge is SKIPPED\n")
        return None
    program = scratch / "centrifuge"
    built = subprocess.run(
        [go, "build", "-o", str(program), "."], cwd=PEER, capture_output=True, text=True, check=False
    )
    if built.returncode:
        sys.stderr.write(f"CENTRIFUGE COULD NOT BE BUILT, its comparison is SKIPPED:\n{built.stderr}\n")
        return None
    return program


def sending(kind: str, program: Path | None, size: int, clients: int) -> dict[str, float]:
    """What it takes to send one frame to so many clients, ten times a second."""
    port = first_free(31480)
    figures = (str(port), str(size), str(HZ), str(PEER_SECONDS), str(clients))
    ours = (sys.executable, "-m", "bench.clients.hub_alone", *figures)
    with running(*(ours if kind == "taxi" else (str(program), *figures))) as sender:
        until_open(port)
        with python("bench.clients.receiver", str(port), str(clients), kind):
            took: dict[str, float] = json.loads(line(sender))
            return took


def beside_the_peer(clients: int, scratch: Path) -> dict[str, Any]:
    """Measure both in turns, so that both have the same load on the machine."""
    idle = sending("taxi", None, 100, 2_000)["bytes_per_client"]
    figures: dict[str, Any] = {"clients": clients, "bytes_per_idle_client": round(idle)}
    program = peer_program(scratch)
    if program is None:
        return figures | {"skipped": "Centrifuge"}
    for size in PEER_BYTES:
        rounds = [
            {kind: sending(kind, program, size, clients)["us_per_frame"] for kind in ("taxi", "centrifuge")}
            for _ in range(PEER_ROUNDS)
        ]
        ours, theirs = ([one[kind] for one in rounds] for kind in ("taxi", "centrifuge"))
        figures[f"{size}_bytes"] = {
            "taxi_us": round(statistics.median(ours), 2),
            "centrifuge_us": round(statistics.median(theirs), 2),
            "ratio": round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 3),
            "rounds": [[round(a, 2), round(b, 2)] for a, b in zip(ours, theirs, strict=True)],
        }
    return figures


def until_open(port: int) -> None:
    """Wait until a process listens on the port."""
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"no process listens on {port}")


# --- a gateway on Kafka ----------------------------------------------------------------------------------


@contextmanager
def broker(scratch: Path) -> Iterator[dict[str, str]]:
    """Run a Kafka with empty topics. Yields the environment variables of its address."""
    port = first_free(31410)
    taxi = str(Path(sys.executable).with_name("taxi"))
    with running(taxi, "kafka", "--port", str(port), "--data-dir", str(scratch / "data")):
        until_open(port)
        environ = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}
        subprocess.run([taxi, "topics"], env={**os.environ, **environ}, check=True, capture_output=True)
        yield environ


def counted(admin_port: int) -> dict[str, float]:
    """The gateway's metrics, summed over their labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    found: dict[str, float] = {}
    for text in lines:
        if text.startswith("gateway_"):
            name, _, value = text.rpartition(" ")
            name = name.partition("{")[0]
            found[name] = found.get(name, 0) + float(value)
    return found


def until_ready(admin_port: int) -> None:
    """Wait until the gateway is ready."""
    for _ in range(1200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/readyz"):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the gateway does not become ready")


class Window:
    """The CPU time of a process and the growth of its metrics during an interval."""

    def __init__(self, pid: int, admin_port: int) -> None:
        self._process = psutil.Process(pid)
        self._admin_port = admin_port
        self._began_s, self._cpu_s = time.monotonic(), self._cpu()
        self._counts = counted(admin_port)

    def _cpu(self) -> float:
        used = self._process.cpu_times()
        return float(used.user + used.system)

    def close(self) -> dict[str, float]:
        """CPU seconds, seconds, and by how much each count grew."""
        cpu_s = self._cpu() - self._cpu_s
        now = counted(self._admin_port)
        grown = {name: value - self._counts.get(name, 0) for name, value in now.items()}
        return {"cpu_s": cpu_s, "seconds": time.monotonic() - self._began_s, **grown}


def with_a_gateway(options: argparse.Namespace, environ: dict[str, str], *, idle: bool) -> dict[str, Any]:
    """One gateway: alone, then with all clients."""
    port, admin_port = first_free(31440), first_free(31460)
    own = {
        "TAXI_PORT": str(port),
        "TAXI_ADMIN_PORT": str(admin_port),
        "TAXI_CLIENTS_MAX": "100000",
        "TAXI_NAME": "gateway-1",
    }
    with python("gateway", **environ, **own) as gateway:
        until_ready(admin_port)
        time.sleep(SETTLE_S)
        figures: dict[str, Any] = {}
        if idle:
            window = Window(gateway.pid, admin_port)
            time.sleep(options.seconds)
            alone = window.close()
            figures["idle_core"] = round(alone["cpu_s"] / alone["seconds"], 4)
        with python("bench.clients.receiver", str(port), str(options.clients), "taxi") as receiver:
            if line(receiver) != "ready\n":
                raise RuntimeError("the clients could not come in")
            assert receiver.stdin is not None
            time.sleep(SETTLE_S)
            window = Window(gateway.pid, admin_port)
            receiver.stdin.write(f"{options.seconds}\n")
            receiver.stdin.flush()
            came = json.loads(line(receiver))
            spent = window.close()
        appended = asyncio.run(appends(environ, came["arrivals"]))
        return figures | figures_of(options, spent, came, appended)


def figures_of(
    options: argparse.Namespace, spent: dict[str, float], came: dict[str, Any], appended: dict[int, int]
) -> dict[str, Any]:
    """The figures of a window."""
    frames = spent["gateway_frames_total"]
    fixes = {(before, after): after - before for before, after, _ in came["arrivals"]}
    updates = sum(
        fixes[before, after] * sum(n for _, n in times) for before, after, times in came["arrivals"]
    )
    return {
        "clients": options.clients,
        "core": round(spent["cpu_s"] / spent["seconds"], 4),
        "cuts_per_s": round(spent["gateway_cuts_total"] / spent["seconds"], 2),
        "us_per_client_and_frame": round(spent["cpu_s"] / frames * 1e6, 2),
        "million_updates_per_cpu_s": round(updates / spent["cpu_s"] / 1e6, 1),
        "bytes_per_frame": round(spent["gateway_bytes_total"] / frames),
        "bytes_per_update": round(came["bytes"] / max(updates, 1), 2),
        "lost": came["lost"],
        "skipped": spent.get("gateway_skipped_total", 0),
        "append_to_client_ms": ages(came["arrivals"], appended),
    }


async def appends(environ: dict[str, str], arrivals: list[Any]) -> dict[int, int]:
    """When each fix that came was appended, by offset."""
    bus = await KafkaBus.connect(Settings.from_env(environ), client_id="bench")
    first, last = min(cut[0] for cut in arrivals), max(cut[1] for cut in arrivals)
    found: dict[int, int] = {}
    async with read_range(bus, topics.LOCATIONS, 0, first, last) as chunks:
        async for records in chunks:
            found |= {record.offset: record.timestamp_ms for record in records}
    await bus.close()
    return found


def ages(arrivals: list[Any], appended: dict[int, int]) -> dict[str, float]:
    """Of every fix at every client: how long ago it was appended when its cut was complete there."""
    together = np.zeros(BINS_MS, np.int64)
    for before, after, times in arrivals:
        stamps = np.array([appended[offset] for offset in range(before, after) if offset in appended])
        if not len(stamps):
            continue
        for at_ms, n in times:
            together += n * np.bincount(np.clip(at_ms - stamps, 0, BINS_MS - 1), minlength=BINS_MS)
    return {"p50": share(together, 0.5), "p99": share(together, 0.99), "max": share(together, 1.0)}


def share(histogram: npt.NDArray[np.int64], part: float) -> float:
    """The age that so large a part does not exceed."""
    return float(np.searchsorted(np.cumsum(histogram), part * histogram.sum()))


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """All that was asked for."""
    figures: dict[str, Any] = {"drivers": options.drivers, "load_average": os.getloadavg()[0]}
    parts = [options.part] if options.part else ["peer", "gateway", "city"]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if "peer" in parts:
            figures["peer"] = beside_the_peer(min(options.clients, 500), scratch)
        if "gateway" in parts:
            with (
                broker(scratch / "alone") as environ,
                python("bench.clients.publisher", str(options.drivers), **environ),
            ):
                figures["gateway"] = with_a_gateway(options, environ, idle=True)
        if "city" in parts:
            with broker(scratch / "city") as environ, ExitStack() as stack:
                stack.enter_context(python("dispatcher", **environ))
                stack.enter_context(python("simulator", **environ, TAXI_DRIVERS=str(options.drivers)))
                figures["city"] = with_a_gateway(options, environ, idle=False)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--drivers", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--part", choices=["peer", "gateway", "city"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measured(options)
    print(json.dumps(figures) if options.json else json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
