# SPDX-License-Identifier: Apache-2.0
"""The README's figures of the running city: start to a moving map, CPU of each part, append to browser.

    python bench/live_demo.py [--drivers 2000] [--seconds 60] [--cold] [--json]

Real Kafka, real gateways, a real Chromium. `--cold` also times `make demo` in a fresh clone with a new
HOME and empty caches (some 350 MB of downloads).
"""

import argparse
import asyncio
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402 - after the path

from scripts.ensure_browser import find_browser  # noqa: E402
from taxi import topics  # noqa: E402
from taxi.bus.kafka.bus import KafkaBus  # noqa: E402
from taxi.bus.ranges import read_range  # noqa: E402
from taxi.runtime.settings import Settings  # noqa: E402
from taxistream.local.ports import first_free  # noqa: E402
from testing.live_demo import LiveDemo, live_demo, until  # noqa: E402

SETTLE_S = 20.0
CHROMIUM = (
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
NOTE_ARRIVALS = """
window.arrivals = [];
const Real = window.WebSocket;
window.WebSocket = class extends Real {
  constructor(...args) {
    super(...args);
    this.addEventListener("message", ({data}) => {
      if (typeof data === "string") return;
      const head = new DataView(data);
      if (head.getUint8(1) & 1) return;
      const offset = at => Number(head.getBigUint64(at, true));
      window.arrivals.push([Date.now(), offset(16), offset(32)]);
    });
  }
};
"""
"""Wall clock at each cut's arrival in the browser, and the fixes it brought: offsets [from, to)."""


def moving(page: Page) -> bool:
    """Whether taxis are drawn, and drawn elsewhere a moment later."""
    ask = "() => { const now = window.taxistream?.drawn(undefined, 40) ?? [];"
    ask += " const last = window.lastSeen ?? []; window.lastSeen = now;"
    ask += " return now.length > 20 && last.length > 20 && now.some((d, i) => d.lng !== last[i].lng); }"
    return bool(page.evaluate(ask))


def open_when_served(browser: Browser, url: str, seconds: float) -> Page:
    """The page, as soon as a gateway answers; returns when the map moves."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.add_init_script(NOTE_ARRIVALS)
    host, port = url.removeprefix("http://").split(":")

    def served() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    until(served, seconds, "an open port", every_s=0.05)
    page.goto(url)
    until(lambda: moving(page), seconds, "a moving map", every_s=0.1)
    return page


def warm_start_s(browser: Browser, home: Path, port: int, drivers: int) -> float:
    """From `taxi demo` on an existing log to a moving map."""
    began = time.monotonic()
    command = [Path(sys.executable).with_name("taxi"), "demo", "--no-browser", "--data-dir", home]
    with started(
        [*map(str, command), "--port", str(port), "--drivers", str(drivers)], ROOT, dict(os.environ)
    ):
        open_when_served(browser, f"http://127.0.0.1:{port}", 120).close()
        return time.monotonic() - began


def cold_start_s(browser: Browser, port: int) -> float:
    """From `make demo` in a fresh clone with a new HOME and empty caches to a moving map."""
    with tempfile.TemporaryDirectory() as scratch:
        clone, home = Path(scratch) / "clone", Path(scratch) / "home"
        home.mkdir()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "TAXI_", "VIRTUAL_ENV"))}
        began = time.monotonic()
        command = ["make", "demo", f"ARGS=--no-browser --port {port}"]
        with started(command, clone, environ | {"HOME": str(home)}):
            open_when_served(browser, f"http://127.0.0.1:{port}", 900).close()
            return time.monotonic() - began


@contextmanager
def started(command: list[str], folder: Path, environ: dict[str, str]) -> Iterator[None]:
    """Run a command meanwhile; Ctrl-C at the end."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, cwd=folder, env=environ, stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


def cpu_cores(demo: LiveDemo, seconds: float) -> dict[str, float]:
    """CPU seconds a second of each part, its child processes included."""
    pids = {name: part["pid"] for name, part in demo.parts().items()}

    def used() -> dict[str, float]:
        return {name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in pids.items()}

    before, began = used(), time.monotonic()
    time.sleep(seconds)
    passed_s, after = time.monotonic() - began, used()
    return {name: (after[name] - before[name]) / passed_s for name in pids}


async def append_times(bootstrap_servers: str, first: int, end: int) -> dict[int, int]:
    """Offset → append time of the fixes in the log, ms."""
    bus = await KafkaBus.connect(Settings(kafka_bootstrap_servers=bootstrap_servers), client_id="bench")
    times: dict[int, int] = {}
    async with read_range(bus, topics.LOCATIONS, 0, first, end) as chunks:
        async for records in chunks:
            times |= {record.offset: record.timestamp_ms for record in records}
    await bus.close()
    return times


def append_to_browser_ms(page: Page, demo: LiveDemo) -> dict[str, float]:
    """Per fix: from its append in Kafka to the arrival of its cut in the browser."""
    arrivals: list[list[int]] = page.evaluate("window.arrivals")
    broker = demo.parts()["kafka"]["port"]
    bounds = (arrivals[0][1], arrivals[-1][2])
    with ThreadPoolExecutor(1) as apart:  # Playwright holds this thread's event loop
        times = apart.submit(asyncio.run, append_times(f"127.0.0.1:{broker}", *bounds)).result()
    waits = [at - times[fix] for at, first, end in arrivals for fix in range(first, end) if fix in times]
    p50, p99 = np.percentile(waits, [50, 99]).tolist()
    return {"fixes": len(waits), "p50": p50, "p99": p99, "max": max(waits)}


def measure(drivers: int, seconds: float, *, cold: bool) -> dict[str, Any]:
    """Everything, as one JSON object."""
    found: dict[str, Any] = {"machine": f"{os.cpu_count()} cores, {platform.system()}", "drivers": drivers}
    port, executable = first_free(28200), find_browser()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        browser = playwright.chromium.launch(executable_path=executable, args=list(CHROMIUM))
        home = Path(scratch) / "data"
        if cold:
            found["cold_start_s"] = cold_start_s(browser, port)
        with live_demo(home, port, "--drivers", str(drivers)) as demo:
            time.sleep(SETTLE_S)
            found["cpu_cores"] = cpu_cores(demo, seconds)
            found["cpu_cores_total"] = sum(found["cpu_cores"].values())
            page = open_when_served(browser, demo.url, 60)
            page.evaluate("window.arrivals.length = 0")
            page.wait_for_timeout(seconds * 1000)
            found["append_to_browser_ms"] = append_to_browser_ms(page, demo)
            found["page"] = page.evaluate("window.taxistream.snapshot()")
            page.close()
        found["warm_start_s"] = warm_start_s(browser, home, port, drivers)
        browser.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--drivers", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.drivers, asked.seconds, cold=asked.cold)
    if asked.json:
        print(json.dumps(found))
        return
    print(f"{found['machine']}; {found['drivers']:,} drivers at 1 Hz")
    for name in ("cold_start_s", "warm_start_s"):
        if name in found:
            print(f"| {name.removesuffix('_s').replace('_', ' ')} to a moving map | {found[name]:.1f} s |")
    for name, cores in found["cpu_cores"].items():
        print(f"| CPU of {name} | {cores:.3f} core |")
    print(f"| CPU of all parts | {found['cpu_cores_total']:.3f} core |")
    waits = found["append_to_browser_ms"]
    print(
        f"| append to browser | p50 {waits['p50']:.0f} ms, p99 {waits['p99']:.0f} ms of {waits['fixes']:,} |"
    )


if __name__ == "__main__":
    main()
