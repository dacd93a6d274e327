# SPDX-License-Identifier: Apache-2.0
"""`python -m simulator`: the simulator in the real world."""

from simulator.settings import Settings
from simulator.shell import METRICS, main
from taxi.runtime.service import Service, run

SERVICE = Service(kind="simulator", main=main, settings=Settings, metrics=METRICS)

if __name__ == "__main__":
    run(SERVICE)
