# SPDX-License-Identifier: Apache-2.0
"""A demo that a command starts for itself, in a folder of its own, and stops at its end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from taxi.runtime import parts
from taxi.runtime.machine_errors import LocalError
from taxi.runtime.parts import Demo, State
from taxistream.local.child import tail, with_parent_death_signal
from taxistream.local.ports import first_free

_PORT: Final = 8100
_READY_S_MAX: Final = 180.0
_STOP_S_MAX: Final = 30.0
_KEPT: Final = ("TAXI_CACHE_DIR", "TAXI_OTHER_SETTINGS")


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without settings: they may name another cluster, another city or another folder."""
    others = environ.get("TAXI_OTHER_SETTINGS", "").split(",")
    kept = {*_KEPT, *(name.strip() for name in others)}
    return {
        key: value for key, value in environ.items() if key in kept or not key.startswith(("TAXI_", "KAFKA_"))
    }


@contextmanager
def own_demo(data_dir: Path, *options: str) -> Iterator[Demo]:
    """Run `taxi demo` with these options for as long as the block runs. Every part is ready at its beginning.

    Raises LocalError: it ended, or was not ready in time.
    """
    port = first_free(_PORT)
    program = "from taxistream.cli import app; app()"
    arguments = ["demo", "--no-browser", "--data-dir", str(data_dir), "--port", str(port), *options]
    output = data_dir.with_suffix(".out")
    with output.open("wb") as out:
        process = subprocess.Popen(
            with_parent_death_signal([sys.executable, "-P", "-c", program, *arguments]),
            env=environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield _until_ready(data_dir, process, output)
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S_MAX)
        process.kill()
        process.wait()


def _until_ready(data_dir: Path, process: "subprocess.Popen[bytes]", output: Path) -> Demo:
    deadline_s = time.monotonic() + _READY_S_MAX
    while time.monotonic() < deadline_s:
        found = parts.list_current(data_dir)
        known = parts.read(data_dir)
        if known is not None and found and all(part.state is State.READY for part in found):
            return known.demo
        if process.poll() is not None:
            raise LocalError("The demo ended while starting.", do="", details=tail(output))
        time.sleep(0.2)
    raise LocalError(
        f"The demo was not ready within {_READY_S_MAX:.0f} s.",
        do="`taxi doctor` checks whether this machine can run it.",
        details=tail(output),
    )
