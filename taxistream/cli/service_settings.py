# SPDX-License-Identifier: Apache-2.0
"""The settings of each service, imported when they are asked for."""

from collections.abc import Callable

from taxi.runtime.settings import Settings


def _dispatcher() -> type[Settings]:
    from dispatcher import settings  # noqa: PLC0415 - a service is imported only if it is asked for

    return settings.Settings


def _simulator() -> type[Settings]:
    from simulator import settings  # noqa: PLC0415 - as above

    return settings.Settings


def _gateway() -> type[Settings]:
    from gateway import settings  # noqa: PLC0415 - as above

    return settings.Settings


def _verifier() -> type[Settings]:
    from verifier import settings  # noqa: PLC0415 - as above

    return settings.Settings


SETTINGS: dict[str, Callable[[], type[Settings]]] = {
    "dispatcher": _dispatcher,
    "simulator": _simulator,
    "gateway": _gateway,
    "verifier": _verifier,
}
"""Service → a function that imports its settings."""
