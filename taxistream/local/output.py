# SPDX-License-Identifier: Apache-2.0
"""Standard output that may not be able to take what is printed: too few characters, or gone.

A terminal's encoding may lack ✓, and a terminal or a pipe may be closed while the demo runs. Neither may
end a program that has processes to stop.
"""

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Final, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

_PLAIN: Final = {
    "✓": "+", "✗": "x", "↻": "~", "≠": "!=", "·": "-", "…": "...", "–": "-", "→": "->", "│": "|", "×": "x",
}  # fmt: skip
_ERRORS: Final = "taxi.plain"
_WAIT_S: Final = 0.2
_GONE: Final = {errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.ECONNRESET}
"""Errors of a write after which no later one succeeds; a full disk, say, may have room again."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler: an ASCII sign for each that we use, an escape for any other character."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = "".join(_PLAIN.get(sign) or _escaped(sign) for sign in error.object[error.start : error.end])
    return text, error.end


def _escaped(sign: str) -> str:
    return sign.encode("ascii", "backslashreplace").decode("ascii")


codecs.register_error(_ERRORS, _plain)


def prepare_streams() -> None:
    """Make standard output and error take any character, and give all three descriptors something to be.

    A program that is started with a closed descriptor would get the number for its next file, and what is
    printed would end in there.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


class Output:
    """A text stream over another's file descriptor whose `write` never raises. Enough for rich's Console.

    What cannot be written is dropped. Once the other end is gone (a closed pipe or terminal), `is_lost` is
    set, `on_lost` is called once, and everything after that is dropped as well.
    """

    def __init__(self, stream: TextIO | None, *, wait_s: float = _WAIT_S) -> None:
        """Write to a stream.

        Args:
            stream: Usually sys.stdout, which is None in a program that was started without one.
            wait_s: How long a write waits for a terminal that is stopped by Ctrl-S, or for a pipe without a
                reader.
        """
        self.is_lost = False
        self.on_lost: Callable[[], None] | None = None
        self._stream = stream
        self._wait_s = wait_s

    @property
    def encoding(self) -> str:
        return self._stream.encoding if self._stream else "utf-8"

    def isatty(self) -> bool:
        return self._stream is not None and not self.is_lost and self._stream.isatty()

    def fileno(self) -> int:
        if self._stream is None:
            raise io.UnsupportedOperation("no stream")
        return self._stream.fileno()

    def flush(self) -> None:
        """Nothing is kept back."""

    def write(self, text: str, /) -> int:
        """Write all of it now, past any buffer: a failed flush would be tried again at the very end."""
        if self._stream is not None and not self.is_lost:
            try:
                self._stream.flush()
                _write_bytes(self._stream.fileno(), text.encode(self.encoding, _ERRORS), self._wait_s)
            except io.UnsupportedOperation:  # a stream in memory
                self._stream.write(text)
            except (OSError, ValueError) as error:  # ValueError: the stream was closed
                if isinstance(error, ValueError) or error.errno in _GONE:
                    self._lose()
        return len(text)

    def _lose(self) -> None:
        self.is_lost = True
        if self.on_lost is not None:
            self.on_lost()


def _write_bytes(descriptor: int, data: bytes, wait_s: float) -> None:
    while data and select.select([], [descriptor], [], wait_s)[1]:
        data = data[os.write(descriptor, data) :]


def lossy(stream: TextIO | None) -> IO[str]:
    """An `Output` over `stream`, as the type that others ask for."""
    return cast("IO[str]", Output(stream))


def when_lost(console: "Console", call: Callable[[], None]) -> None:
    """Call `call` once when the terminal or pipe of `console` is closed; at once if it is closed already."""
    output: object = console.file
    if isinstance(output, Output):
        output.on_lost = call
        if output.is_lost:
            call()
