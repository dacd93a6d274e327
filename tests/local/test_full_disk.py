# SPDX-License-Identifier: Apache-2.0
"""A city of real services on a disk that others fill, until nothing is left, and empty again."""

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from taxi.runtime import parts as parts_file
from taxistream.local.ports import PortPool
from testing.live_demo import LiveDemo, live_demo, until
from tests.local.conftest import NEEDS_KAFKA, Taxi

pytestmark = [*NEEDS_KAFKA, pytest.mark.slow]

DISK_MB = 220


class Disk:
    """A small disk of its own, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, *, leave_mb: int) -> None:
        """Have another program's file take everything but so much; 0: to the last byte."""
        self._filler.unlink(missing_ok=True)
        free = subprocess.run(["df", "-B1", "--output=avail", self.folder], capture_output=True, check=True)
        wanted = int(free.stdout.split()[1]) - leave_mb * 1_000_000
        try:
            with self._filler.open("wb") as file:
                while wanted > 0:
                    wanted -= file.write(bytes(min(wanted, 1 << 20)))
                    file.flush()
        except OSError:  # nothing is left, which the city itself may see to first
            assert leave_mb == 0

    def empty(self) -> None:
        self._filler.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield Disk(folder)
    subprocess.run(["umount", folder], check=True)


def states(city: LiveDemo) -> dict[str, str]:
    return {name: part["state"] for name, part in city.parts().items()}


def faults(city: LiveDemo) -> dict[str, str]:
    return {fault.code: fault.text for fault in parts_file.faults(city.data_dir)}


def events(city: LiveDemo, after: int = 0) -> Any:
    """How far the log of events has come, once it is beyond `after`."""
    try:
        at = city.get("/api/status")["cursor"]["ev"]
    except OSError:
        return None
    return at if at > after else None


def test_a_disk_that_fills_pauses_the_city_and_it_goes_on_when_there_is_room(
    disk: Disk, ports: PortPool, taxi: Taxi
) -> None:
    options = ("--drivers", "200", "--gateways", "1", "--kafka-port", str(ports.take()))
    with live_demo(disk.folder / "city", ports.take(), *options) as city:
        epoch = until(partial(events, city), 60, "events") and city.get("/api/status")["cursor"]["epoch"]

        disk.fill(leave_mb=40)
        for writer in ("dispatcher-1", "simulator"):
            until(lambda: states(city)[writer] == "paused", 30, f"{writer} is paused")  # noqa: B023
        assert states(city) | {"gateway-1": "", "verifier": ""} == {
            "kafka": "ready",
            "dispatcher-1": "paused",
            "simulator": "paused",
            "verifier": "",
            "gateway-1": "",
        }
        assert "MB are free" in faults(city)["disk_full"]
        shown = taxi("ps", "--data-dir", str(city.data_dir))
        assert "The city is paused until there is room" in shown.stderr
        before = events(city)
        disk.empty()
        until(city.all_ready, 60, "all ready")
        assert "There is room on the disk again" in city.printed()
        until(partial(events, city, after=before), 60, "news")
        assert faults(city) == {}

        disk.fill(leave_mb=0)
        taxi("kill", "kafka", "--data-dir", str(city.data_dir))  # it must write to start
        until(lambda: states(city)["kafka"] == "paused", 30, "the broker waits, and `taxi ps` says so")
        writers = ("dispatcher-1", "simulator")
        until(lambda: {states(city)[name] for name in writers} == {"paused"}, 30, "both writers are paused")
        assert "disk_full" in faults(city)
        assert city.process.poll() is None, city.printed()
        disk.empty()
        until(city.all_ready, 90, "all ready")
        until(partial(events, city, after=before), 60, "news")
        assert city.get("/api/status")["cursor"]["epoch"] == epoch, "it is the same log"
        assert "Traceback" not in city.printed()
        for log in (city.data_dir / "logs").glob("*.log"):
            assert "Traceback" not in log.read_text(errors="replace"), log.name
        audited = taxi("audit", "--data-dir", str(city.data_dir))
        assert audited.returncode == 0, audited.stdout
        assert city.stop() == 0


def test_a_disk_that_is_full_at_the_start_is_one_sentence(disk: Disk, taxi: Taxi) -> None:
    disk.fill(leave_mb=20)
    for arguments in (["demo", "--no-browser", "--port", "28171"], ["kafka", "--port", "28172"]):
        done = taxi(*arguments, "--data-dir", str(disk.folder / "city"))
        assert done.returncode == 1
        [line, advice] = done.stderr.splitlines()
        assert line.startswith(("Only 1", "Only 2"))
        assert "128 MB are needed" in line
        assert "Make room" in advice
    report = taxi("doctor", "--data-dir", str(disk.folder / "city"))
    assert report.returncode == 1
    assert "128 MB are needed" in report.stdout


def test_a_disk_without_a_byte_is_one_sentence(disk: Disk, taxi: Taxi) -> None:
    disk.fill(leave_mb=0)
    done = taxi("demo", "--no-browser", "--port", "28171", "--data-dir", str(disk.folder / "city"))
    assert done.returncode == 1
    assert "No space left on device" in done.stderr or "Only 0 MB" in done.stderr
    assert "Make room" in done.stderr
    assert "Traceback" not in done.stderr
