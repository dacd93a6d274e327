# SPDX-License-Identifier: Apache-2.0
"""`taxi demo` as a person runs it: real processes, a real broker. For tests and measurements."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taxistream.local.ports import first_free

TAXI = str(Path(sys.executable).with_name("taxi"))


class LiveDemo:
    """A running demo."""

    def __init__(self, process: "subprocess.Popen[bytes]", data_dir: Path, port: int, output: Path) -> None:
        self.process = process
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{port}"
        self.output = output

    def taxi(self, *arguments: str) -> Any:
        """What a `taxi` command prints as JSON about this demo."""
        command = [TAXI, *arguments, "--data-dir", str(self.data_dir), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        return json.loads(done.stdout)

    def parts(self) -> dict[str, dict[str, Any]]:
        """Name → what `taxi ps` says of it."""
        return {part["name"]: part for part in self.taxi("ps")}

    def all_ready(self) -> bool:
        """Whether every part is there and ready."""
        try:
            parts = self.parts()
        except (subprocess.CalledProcessError, json.JSONDecodeError):
            return False
        return bool(parts) and all(part["state"] == "ready" for part in parts.values())

    def get(self, path: str) -> Any:
        """JSON from whichever gateway answers."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def stop(self) -> int:
        """Ctrl-C, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def printed(self) -> str:
        """Everything the demo said."""
        return self.output.read_text(encoding="utf-8", errors="replace")


def until(condition: Callable[[], Any], seconds: float, what: str, every_s: float = 0.25) -> Any:
    """The first true value of `condition`; fails, saying `what`, when none comes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(every_s)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


@contextmanager
def live_demo(data_dir: Path, port: int, *options: str, **environ: str) -> Iterator[LiveDemo]:
    """Start `taxi demo` with every part ready; stop it at the end, whatever happened."""
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    output = data_dir.with_suffix(".out")
    if "--kafka-port" not in options and "--bus" not in options:
        # Demos that start at the same moment must not both find the same port free.
        options = (*options, "--kafka-port", str(first_free(port + 1)))
    command = [TAXI, "demo", "--no-browser", "--data-dir", str(data_dir), "--port", str(port), *options]
    with output.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | environ)
        demo = LiveDemo(process, data_dir, port, output)
        try:
            until(lambda: demo.all_ready() or process.poll() is not None, 300, "every part ready")
            assert process.poll() is None, demo.printed()
            yield demo
        finally:
            demo.stop()
