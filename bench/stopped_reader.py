# SPDX-License-Identifier: Apache-2.0
"""Measures the cost of clients that stop reading, for their gateway and for other clients.

    python bench/stopped_reader.py [--clients 200] [--stopped 20] [--drivers 2000] [--rounds 4] [--json]

One gateway, real Kafka. A process with `--stopped` clients is frozen (SIGSTOP) and thawed again and again;
meanwhile `--clients` others are watched. Cost of a frozen one: what the kernel holds for its socket on the
gateway's side (`ss -tm`), what the gateway holds for it, and by how much the process grew. Linux.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.clients.load import city, watched  # noqa: E402 - after the path
from taxistream.tools.loadtest.clients.load_clients import LoadClients  # noqa: E402
from taxistream.tools.loadtest.kills import Killer  # noqa: E402
from testing.live_demo import TAXI, LiveDemo, until  # noqa: E402

SLICE_S: Final = 10.0
SETTLE_S: Final = 5.0
"""After freezing: buffers fill, and what was seen before is counted."""
_QUEUED: Final = re.compile(r"skmem:\(.*?,w(\d+),")


@contextmanager
def readers(demo: LiveDemo, count: int) -> Iterator[psutil.Process]:
    """A process with so many clients, all live."""
    command = [TAXI, "loadtest", "--data-dir", str(demo.data_dir), "--clients", str(count)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([*command, "--seconds", "3600", "--calm"], stdout=quiet, stderr=quiet)
    try:
        until(lambda: clients(demo) >= count, 60, "readers that are live")
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def metric(demo: LiveDemo, name: str) -> float:
    """Of the gateway."""
    port = demo.parts()["gateway-1"]["admin_port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def clients(demo: LiveDemo) -> int:
    """The number of the gateway's clients."""
    return int(metric(demo, "gateway_clients"))


def kernel_bytes(demo: LiveDemo, reader: psutil.Process) -> list[int]:
    """What the kernel has queued for each socket of the reader, on the gateway's side."""
    port = int(demo.url.rpartition(":")[2])
    held = [c for c in reader.net_connections("tcp") if c.status == psutil.CONN_ESTABLISHED]
    ours = {c.laddr.port for c in held if c.raddr.port == port}
    listed = subprocess.run(
        ["ss", "-tmnOH", "state", "established", f"( sport = :{port} )"],
        capture_output=True,
        text=True,
        check=True,
    )
    queued = []
    for line in listed.stdout.splitlines():
        peer = int(line.split()[3].rpartition(":")[2])
        found = _QUEUED.search(line)
        if peer in ours and found:
            queued.append(int(found[1]))
    return queued


class Alternation:
    """Freezes and thaws the readers, and records what the other clients got meanwhile."""

    def __init__(self, demo: LiveDemo, reader: psutil.Process, rounds: int, stopped: int) -> None:
        self.p99_ms: dict[str, list[float]] = {"reading": [], "stopped": []}
        self.kernel: list[int] = []
        self.backlog: list[float] = []
        self.grown: list[float] = []
        self._demo, self._reader, self._rounds, self._stopped = demo, reader, rounds, stopped
        self._gateway = psutil.Process(demo.parts()["gateway-1"]["pid"])

    async def act(self, load_clients: LoadClients, killer: Killer) -> None:
        """Each round a slice with readers that read, and one with readers that don't."""
        del killer
        for _ in range(self._rounds):
            self._reader.resume()
            await self._slice(load_clients, "reading")
            before = self._gateway.memory_info().rss
            self._reader.suspend()
            await self._slice(load_clients, "stopped")
            self.kernel += await asyncio.to_thread(kernel_bytes, self._demo, self._reader)
            held = await asyncio.to_thread(metric, self._demo, "gateway_backlog_bytes")
            self.backlog.append(held / self._stopped)
            self.grown.append((self._gateway.memory_info().rss - before) / self._stopped)
        self._reader.resume()

    async def _slice(self, load_clients: LoadClients, name: str) -> None:
        await asyncio.sleep(SETTLE_S)
        load_clients.observations.begin()
        await asyncio.sleep(SLICE_S)
        self.p99_ms[name].append(load_clients.observations.latency.quantiles()["p99"])


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Everything, as one JSON object."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "data"
        with city(home, 28500, drivers=asked.drivers) as demo, readers(demo, asked.stopped) as reader:
            time.sleep(SLICE_S)
            alternation = Alternation(demo, reader, asked.rounds, asked.stopped)
            figures = watched(demo, asked.clients, alternation.act)
    reading, stopped = (median(alternation.p99_ms[name]) for name in ("reading", "stopped"))
    return {
        "machine": f"{os.cpu_count()} cores, {platform.system()}",
        "drivers": asked.drivers,
        "clients": asked.clients,
        "stopped": asked.stopped,
        "kernel_bytes_max": max(alternation.kernel, default=0),
        "backlog_bytes_max": round(max(alternation.backlog)),
        "rss_grown_bytes": round(median(alternation.grown)),
        "p99_ms": {"reading": reading, "stopped": stopped},
        "p99_ratio": round(stopped / reading, 3),
        "p99_ms_slices": alternation.p99_ms,
        "violations": figures["violations"],
        "violations_total": figures["violations_total"],
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--stopped", type=int, default=20)
    parser.add_argument("--drivers", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked)
    if asked.json:
        print(json.dumps(found))
    else:
        print(f"{found['machine']}; {found['drivers']:,} drivers at 1 Hz, {found['clients']} clients")
        print(f"| a reader that stops: in the kernel | at most {found['kernel_bytes_max']:,} bytes |")
        print(f"| … in the gateway's buffers | at most {found['backlog_bytes_max']:,} bytes |")
        print(f"| … by which the process grew | {found['rss_grown_bytes']:,} bytes |")
        waits = found["p99_ms"]
        print(f"| p99 of the others | {waits['reading']:.0f} ms while it reads, ", end="")
        print(f"{waits['stopped']:.0f} ms while it does not |")
        print(f"| violations | {found['violations'] or 'none'} |")
    return int(bool(found["violations_total"]))


if __name__ == "__main__":
    sys.exit(main())
