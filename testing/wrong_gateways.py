# SPDX-License-Identifier: Apache-2.0
"""An error planted into every gateway of a demo while it runs, which no client can see by itself."""

from pathlib import Path

_SITECUSTOMIZE = """
import os, sys, threading, time

def plant():
    flag = os.environ["TAXI_TEST_PLANT"]
    while not hasattr(sys.modules.get("gateway.updates.drivers"), "DriverTable"):
        time.sleep(0.1)
    drivers = sys.modules["gateway.updates.drivers"]
    right = drivers.quantised

    def wrong(lng, lat, heading, speed):
        return right(lng + 0.00002 * os.path.exists(flag), lat, heading, speed)

    drivers.quantised = wrong

threading.Thread(target=plant, daemon=True).start()
"""


class PlantedError:
    """While it is planted, each taxi is two metres off, and gateways compute their hashes over that.

    Args:
        folder: For a module that each Python of the demo imports at its start, and for the flag.
    """

    def __init__(self, folder: Path) -> None:
        (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE, encoding="utf-8")
        self._flag = folder / "planted"
        self.environ = {
            "PYTHONPATH": str(folder),
            "TAXI_TEST_PLANT": str(self._flag),
            "TAXI_OTHER_SETTINGS": "TAXI_TEST_PLANT",
        }
        """The environment variables of the demo."""

    def plant(self) -> None:
        """From now on gateways are wrong."""
        self._flag.touch()

    def take_out(self) -> None:
        """They are right again, with the next position of each taxi."""
        self._flag.unlink()
