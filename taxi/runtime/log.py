# SPDX-License-Identifier: Apache-2.0
"""Structured logging, as text lines or JSON."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

from taxi.runtime.env import Log


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Make imports of `package` fail with ImportError within the block, unless it is already imported."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # import treats it as not installed
    try:
        yield
    finally:
        del sys.modules[package]


# structlog imports rich if it is installed, for tracebacks that are not printed here. That takes an eighth of
# a service's start.
with _hidden("rich"):
    import structlog


def _without_traceback(record: logging.LogRecord) -> bool:
    """A log filter: an unreachable collector of spans is logged without its traceback."""
    if record.name.startswith("opentelemetry"):
        record.exc_info = None
    return True


class _Lossy:
    """Drops lines that can't be written, because a full disk must not end a service."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()


def configure(*, name: str, form: str, level: str, file: TextIO | None = None) -> Log:
    """Set up logging. Call it once in a process.

    Args:
        name: The process's name, in every line.
        form: `text` or `json`.
        level: The lowest level to log, `debug` to `error`.
        file: Where to write; standard error if None.
    """
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
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Lossy(file))),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), stream=file, format="%(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(_without_traceback)
    # aiokafka logs each retry of an unreachable broker as an error; the bus logs it once, with what it does.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    log: Log = structlog.get_logger().bind(part=name)
    return log
