# SPDX-License-Identifier: Apache-2.0
"""The limits that the system sets a process (`ulimit`): raised as far as allowed, or named."""

import resource
from contextlib import suppress
from typing import Final

from taxi.runtime import descriptors
from taxi.runtime.machine_errors import LocalError

DESCRIPTORS_MIN: Final = 512
"""A broker with the city's topics has about 170 files and sockets open, a gateway one for each client."""
FILE_BYTES_MIN: Final = 64 << 20
"""Kafka's segments have 16 MiB, logs 4 MiB."""
_BOUND: Final = "your shell, systemd or the container sets its maximum."


def raise_limits() -> None:
    """Raise this process's soft limits, and so those of the parts, as far as the hard limits allow."""
    descriptors.raise_limit()
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def check_limits() -> None:
    """Raise LocalError if a limit is too low for a demo, however far it may be raised."""
    files = _hard(resource.RLIMIT_NOFILE)
    if files is not None and files < DESCRIPTORS_MIN:
        raise LocalError(
            f"The limit on open files is {files}; a demo needs {DESCRIPTORS_MIN}.",
            do=f"Raise it (`ulimit -n`): {_BOUND}",
        )
    size = _hard(resource.RLIMIT_FSIZE)
    if size is not None and size < FILE_BYTES_MIN:
        raise LocalError(
            f"The limit on the size of a file is {size >> 20} MiB; a demo needs {FILE_BYTES_MIN >> 20} MiB.",
            do=f"Raise it (`ulimit -f`): {_BOUND}",
        )


def _hard(number: int) -> int | None:
    """The hard limit, None if there is none."""
    _, hard = resource.getrlimit(number)
    return None if hard == resource.RLIM_INFINITY else hard
