# SPDX-License-Identifier: Apache-2.0
"""`python -m dispatcher`: the dispatcher in the real world."""

from dispatcher.settings import Settings
from dispatcher.shell import METRICS, main
from taxi.runtime.service import Service, run
from taxi.topics import COMMANDS, DEAD_LETTERS, EVENTS, LOCATIONS, SNAPSHOTS

SERVICE = Service(
    kind="dispatcher",
    main=main,
    settings=Settings,
    metrics=METRICS,
    topics=(LOCATIONS, COMMANDS, EVENTS, SNAPSHOTS, DEAD_LETTERS),
)

if __name__ == "__main__":
    run(SERVICE)
