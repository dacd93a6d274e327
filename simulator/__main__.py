# SPDX-License-Identifier: Apache-2.0
"""`python -m simulator`: the simulator in the real world."""

from simulator.settings import Settings
from simulator.shell import METRICS, main
from taxi.runtime.service import Service, run
from taxi.topics import COMMANDS, EVENTS, LOCATIONS, SNAPSHOTS

SERVICE = Service(
    kind="simulator",
    main=main,
    settings=Settings,
    metrics=METRICS,
    topics=(LOCATIONS, COMMANDS, EVENTS, SNAPSHOTS),
)

if __name__ == "__main__":
    run(SERVICE)
