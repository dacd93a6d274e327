# SPDX-License-Identifier: Apache-2.0
"""`python -m simulator`: the simulator in the real world."""

from simulator.settings import Settings
from simulator.shell import METRICS, main
from taxi.runtime.service import run

if __name__ == "__main__":
    run(main, Settings, kind="simulator", metrics=METRICS)
