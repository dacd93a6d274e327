# SPDX-License-Identifier: Apache-2.0
"""The Python client can be used where only `websockets` is installed: no Kafka, no numpy, no service."""

import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
ALONE = """
import sys

ALLOWED = sys.stdlib_module_names | {"websockets"}
OURS = {"taxi", "taxi.city_time", "taxi.client", "taxi.cursor"}


class Blocked:
    @staticmethod
    def find_spec(name, path=None, target=None):
        ours = name in OURS or name.startswith("taxi.client.")
        if not ours and name.partition(".")[0] not in ALLOWED:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)


sys.meta_path.insert(0, Blocked)
sys.path.insert(0, sys.argv[1])
import asyncio

from taxi.client import StreamUnreachableError, connect
from taxi.client.decode import decode_update


async def main():
    async with connect("ws://127.0.0.1:9/ws", give_up_s=0.05) as city:
        try:
            async for _ in city:
                pass
        except StreamUnreachableError as error:
            print(error)


frame = open(sys.argv[2], "rb").read()
print(len(decode_update(frame).rides), "rides")
asyncio.run(main())
"""


def alone(program: str) -> subprocess.CompletedProcess[str]:
    frame = ROOT / "tests" / "golden" / "frames" / "03-rides-and-feed.bin"
    command = [sys.executable, "-I", "-c", program, str(ROOT), str(frame)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_client_needs_nothing_but_websockets() -> None:
    done = alone(ALONE)
    assert done.returncode == 0, done.stderr
    rides, outcome = done.stdout.splitlines()
    assert rides != "0 rides"
    assert "connection refused at ws://127.0.0.1:9" in outcome


def test_an_import_of_anything_else_would_be_noticed() -> None:
    done = alone(ALONE.replace("import asyncio\n", "import asyncio, msgspec\n"))
    assert done.returncode == 1
    assert "msgspec is blocked" in done.stderr


def test_the_project_needs_what_the_client_needs_and_no_more() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert [Requirement(each).name for each in project["dependencies"]] == ["websockets"]


def test_the_command_without_its_packages_says_what_to_install() -> None:
    start = ALONE[: ALONE.index("import asyncio")].replace(
        "OURS = {", 'OURS = {"taxistream", "taxistream.__main__", "taxistream.cli", '
    )
    done = alone(start + "sys.argv = ['taxi']; from taxistream.__main__ import main; main()")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "typer is not installed" in done.stderr
    assert "pip install 'taxistream[services]'" in done.stderr
