# SPDX-License-Identifier: Apache-2.0
"""Structured logging: lines for people, or JSON for machines."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from taxi.runtime.env import Log


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Whoever tries to import it meanwhile does without."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # what import takes for "there is none"
    try:
        yield
    finally:
        del sys.modules[package]


# It loads rich wherever that is installed, for tracebacks as we don't print them: an eighth of a start.
with _hidden("rich"):
    import structlog


def configure(*, name: str, form: str, level: str, file: TextIO | None = None) -> Log:
    """Set up logging, to standard error or a file, once for the process. `form` is `text` or `json`."""
    file = file or sys.stderr
    colours = file.isatty() and "NO_COLOR" not in os.environ
    renderer = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0)
    )
    number = getattr(logging, level.upper())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=file),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), stream=file, format="%(name)s: %(message)s")
    # aiokafka logs each retry of an unreachable broker as an error; the bus says it once, with what it does.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    log: Log = structlog.get_logger().bind(part=name)
    return log
