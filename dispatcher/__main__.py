# SPDX-License-Identifier: Apache-2.0
"""`python -m dispatcher`: the dispatcher in the real world."""

from dispatcher.settings import Settings
from dispatcher.shell import METRICS, main
from taxi.runtime.service import run

if __name__ == "__main__":
    run(main, Settings, kind="dispatcher", metrics=METRICS)
