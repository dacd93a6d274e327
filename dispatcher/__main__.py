# SPDX-License-Identifier: Apache-2.0
"""`python -m dispatcher`: the dispatcher in the real world."""

from dispatcher.settings import Settings
from dispatcher.shell import METRICS, main
from taxi.runtime.service import Service, run

SERVICE = Service(kind="dispatcher", main=main, settings=Settings, metrics=METRICS)

if __name__ == "__main__":
    run(SERVICE)
