# SPDX-License-Identifier: Apache-2.0
"""`python -m verifier`: the verifier as a process."""

from taxi.runtime.service import Service, run
from taxi.topics import EVENTS, LOCATIONS, VERDICTS
from verifier.settings import Settings
from verifier.shell import METRICS, main

SERVICE = Service(
    kind="verifier",
    main=main,
    settings=Settings,
    metrics=METRICS,
    topics=(LOCATIONS, EVENTS, VERDICTS),
)

if __name__ == "__main__":
    run(SERVICE)
