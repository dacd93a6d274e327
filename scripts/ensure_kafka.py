# SPDX-License-Identifier: Apache-2.0
"""Fetch Kafka's jars before the tests start: `python -m scripts.ensure_kafka`.

A test that waits for a city to start should not wait for a download as well.
"""

from __future__ import annotations

import sys

from rich.console import Console

from taxi.runtime.machine_errors import LocalError
from taxistream.local import jars


def main() -> int:
    """Fetch what is missing; 1 if it can't be had."""
    try:
        folder = jars.ensure(jars.directory(), Console(stderr=True))
    except LocalError as error:
        print(f"[kafka] {error.what} {error.do}", file=sys.stderr)
        print(
            "[kafka] the tests that need a broker will be skipped, and fail where CI=true.", file=sys.stderr
        )
        return 1
    print(f"[kafka] {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
