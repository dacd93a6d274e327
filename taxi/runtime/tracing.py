# SPDX-License-Identifier: Apache-2.0
"""W3C trace context on the log: a `traceparent` header on every command and every event it causes.

Ids are hashes of names, not random numbers, so a replay of a batch writes the same headers byte for byte.
Spans are exported over OTLP only if OTEL_EXPORTER_OTLP_ENDPOINT (or its traces variant) is set.
Source: https://www.w3.org/TR/trace-context/ (version 00).
"""

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol

from taxi.bus import Headers

HEADER: Final = "traceparent"
_FORM: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_ZERO: Final = ("0" * 32, "0" * 16)


class Trace(NamedTuple):
    """The trace and span of a message, in lower-case hex: 32 and 16 digits."""

    trace_id: str
    span_id: str

    def headers(self) -> Headers:
        """The record headers with this trace."""
        return ((HEADER, self.text().encode()),)

    def text(self) -> str:
        """The value of a `traceparent` header."""
        return f"00-{self.trace_id}-{self.span_id}-01"

    def child(self, *name: object) -> "Trace":
        """The span with the hash of `name` as its id, in the same trace."""
        return Trace(self.trace_id, _hash(8, self.trace_id, *name))


def root(*name: object) -> Trace:
    """The first span of a new trace, with ids hashed from `name` (for example a command id)."""
    return Trace(_hash(16, "trace", *name), _hash(8, "span", *name))


def parse(headers: Headers | Mapping[str, str]) -> Trace | None:
    """The trace in record or HTTP headers; None if there is none or it is malformed."""
    found = dict(headers).get(HEADER)
    text = found.decode("ascii", "replace") if isinstance(found, bytes) else found
    match = _FORM.fullmatch(text or "")
    if match is None or match[1] == _ZERO[0] or match[2] == _ZERO[1]:
        return None
    return Trace(match[1], match[2])


def _hash(size: int, *name: object) -> str:
    digest = blake2b(repr(name).encode(), digest_size=size).hexdigest()
    return digest if digest.strip("0") else "1".rjust(size * 2, "0")


class Tracer(Protocol):
    """Exports finished spans."""

    def record(
        self, name: str, trace: Trace, parent: Trace | None, start_ms: int, end_ms: int, **attributes: Any
    ) -> None: ...


class NoTracer:
    """A tracer that discards spans."""

    def record(
        self, name: str, trace: Trace, parent: Trace | None, start_ms: int, end_ms: int, **attributes: Any
    ) -> None:
        """Discard the span."""
