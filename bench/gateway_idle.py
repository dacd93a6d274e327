# SPDX-License-Identifier: Apache-2.0
"""Measures a gateway's CPU time without clients, the bytes of a row, and the time to recover from a kill.

    python bench/gateway_idle.py [--drivers 10000] [--seconds 30] [--kills 5] [--json]

Real Kafka, the real simulator and dispatcher, one gateway. The cuts of a city-wide and of a nine-tile client
are recorded and weighed as they are and deflated each for itself, as the gateway does it.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gateway.stream.frames import deflated  # noqa: E402 - after the path
from taxi.client.decode import decode_update  # noqa: E402
from taxi.client.protocol import SUBPROTOCOL  # noqa: E402
from taxistream.local.ports import first_free  # noqa: E402
from testing.live_demo import LiveDemo, live_demo  # noqa: E402

SETTLE_S = 75.0
"""Wait until all drivers drive and the first snapshot is written."""
NINE_TILES = [-73.9855, 40.7525, -73.9750, 40.7630]


async def greeted(url: str, **hello: Any) -> tuple[ClientConnection, str]:
    """A connection after `ready`, and the epoch."""
    line = await connect(url, subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None, max_size=None)
    await line.send(json.dumps({"type": "hello", "v": 1, "city": "manhattan", **hello}))
    while (message := json.loads(await line.recv()))["type"] != "ready":
        pass
    return line, message["epoch"]


async def recorded(url: str, seconds: float, **hello: Any) -> list[bytes]:
    """Binary messages, the image first."""
    line, _ = await greeted(url, **hello)
    messages: list[bytes] = []
    async with asyncio.timeout(seconds + 10):
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            message = await line.recv()
            if isinstance(message, bytes):
                messages.append(message)
    await line.close()
    return messages


def weighed(messages: list[bytes]) -> dict[str, float]:
    """Bytes a driver row of live cuts, and of the image."""
    image, *live = messages
    cuts = [decode_update(message) for message in live]
    rows = sum(len(cut.drivers) + len(cut.moved) + len(cut.status) for cut in cuts)
    sections = [drivers_section(message) for message in live]
    return {
        "cuts": len(live),
        "rows_a_cut": rows / len(live),
        "drivers_bytes_a_row": sum(map(len, sections)) / rows,
        "drivers_deflated_bytes_a_row": sum(len(deflated(section)) for section in sections) / rows,
        "all_bytes_a_row": sum(map(len, live)) / rows,
        "all_deflated_bytes_a_row": sum(len(deflated(message)) for message in live) / rows,
        "image_rows": decode_update(image).drivers_held,
        "image_bytes": len(image),
        "image_deflated_bytes": len(deflated(image)),
    }


def drivers_section(message: bytes) -> bytes:
    """The section of driver rows in an update."""
    return message[80 : 80 + int.from_bytes(message[4:8], "little")]


def gateway(demo: LiveDemo) -> psutil.Process:
    """The gateway's process."""
    return psutil.Process(demo.parts()["gateway-1"]["pid"])


def cores(process: psutil.Process, seconds: float) -> float:
    """CPU seconds a second."""
    used, began = sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds)
    return (sum(process.cpu_times()[:2]) - used) / (time.monotonic() - began)


async def back_within_s(demo: LiveDemo, url: str) -> float:
    """Seconds from SIGKILL to the first update of a client that reconnects repeatedly; it must resume."""
    line, epoch = await greeted(url)
    cut = decode_update(await line.recv(decode=False))
    process = gateway(demo)
    began = time.monotonic()
    process.kill()
    while True:
        try:
            line, _ = await greeted(url, cursor=f"{epoch}:{cut.loc}:{cut.ev}", view=None)
        except (OSError, EOFError, WebSocketException):
            await asyncio.sleep(0.01)
            continue
        after = decode_update(await line.recv(decode=False))
        took_s = time.monotonic() - began
        assert not after.is_image, "an image where a diff was to be had"
        await line.close()
        return took_s


def measure(drivers: int, seconds: float, kills: int) -> dict[str, Any]:
    """Everything, as one JSON object."""
    found: dict[str, Any] = {"machine": f"{os.cpu_count()} cores, {platform.system()}", "drivers": drivers}
    port = first_free(31300)
    with tempfile.TemporaryDirectory() as scratch:
        options = ("--drivers", str(drivers), "--gateways", "1", "--kafka-port", str(first_free(31350)))
        with live_demo(Path(scratch) / "data", port, *options) as demo:
            url = f"ws://127.0.0.1:{port}/ws"
            time.sleep(SETTLE_S)
            found["idle_cores"] = cores(gateway(demo), seconds)
            found["city"] = weighed(asyncio.run(recorded(url, 15)))
            print(json.dumps(found), file=sys.stderr, flush=True)
            found["nine_tiles"] = weighed(asyncio.run(recorded(url, 15, view=NINE_TILES)))
            time.sleep(120)  # a window that reaches back as far as promised
            times_s = []
            for _ in range(kills):
                times_s.append(asyncio.run(back_within_s(demo, url)))
                time.sleep(5)
            if times_s:
                found["back_s"] = {"p50": float(np.median(times_s)), "max": max(times_s), "all": times_s}
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--drivers", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.drivers, asked.seconds, asked.kills)
    if asked.json:
        print(json.dumps(found))
        return
    print(f"{found['machine']}; {found['drivers']:,} drivers at 1 Hz, 10 cuts a second, real Kafka")
    print(f"| a gateway without clients | {found['idle_cores']:.4f} core |")
    for view in ("city", "nine_tiles"):
        weight = found[view]
        for part in ("drivers", "all"):
            plain, small = weight[f"{part}_bytes_a_row"], weight[f"{part}_deflated_bytes_a_row"]
            rows = weight["rows_a_cut"]
            print(f"| {view}, {part}: bytes a row of {rows:.0f} a cut | {plain:.2f}, deflated {small:.2f} |")
    if "back_s" in found:
        back = found["back_s"]
        print(
            f"| SIGKILL of the only one to the resumed cut | p50 {back['p50']:.2f}, max {back['max']:.2f} s |"
        )


if __name__ == "__main__":
    main()
