# SPDX-License-Identifier: Apache-2.0
"""Why no connection to a gateway serves, as far as a client can know; and a gateway's own faults."""

import json
import socket
import ssl
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple

from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus

_DETAIL_CHARS_MAX: Final = 300
_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_UNAUTHORIZED: Final = 401


class Fault(NamedTuple):
    """A fault of a gateway or of its input, as it reports it (docs/operations.md)."""

    code: str
    text: str
    """What is wrong and what to do."""


class GatewayVerdict(NamedTuple):
    """What a verifier says of one gateway: it compares what the gateway sends with the log."""

    gateway: str
    cut_ms: int
    """The cut time of the newest update that was compared."""
    checked: int
    """Updates that were compared."""
    wrong: int
    """How many of them were not as the log says."""
    rule: str
    """What is wrong with the newest one; empty: nothing."""
    text: str
    """The same for people."""


class ProblemKind(Enum):
    """Kinds of problem with a connection."""

    UNREACHABLE = "unreachable"
    """Nothing answers at that address, or something that speaks another protocol."""
    REFUSED = "refused"
    """A server answers there, but does not open the socket."""
    SILENT = "silent"
    """No answer within the time limit."""
    PENDING = "pending"
    """The gateway has not reached this client's cursor."""
    CLOSED = "closed"
    """The connection was lost, or the gateway closed it."""
    UNREADABLE = "unreadable"
    """A message that could not be read, or that does not continue the rows."""


@dataclass(frozen=True)
class Problem:
    """Why no connection serves."""

    kind: ProblemKind
    text: str
    """One sentence for people, without a full stop."""


_CLOSED: Final = {
    1006: "the connection was lost",
    1012: "the gateway restarts",
    4001: "the gateway leaves, or has not caught up",
    4002: "this client read too slowly",
    4008: "the gateway did not understand this client",
    4010: "the gateway did not expect what this client said",
    4029: "too many connections or messages from here",
}


def of_close(code: int, reason: str) -> Problem:
    """A close code in words (docs/protocol.md)."""
    text = _CLOSED.get(code) or f"the gateway closed the connection: {code}" + (reason and f", {reason}")
    return Problem(ProblemKind.CLOSED, text)


def of_opening(error: BaseException, where: str) -> Problem:
    """Why a connection to `where` (`ws://host:port`) did not open."""
    kind, text = ProblemKind.UNREACHABLE, f"{where}: {str(error) or type(error).__name__}"
    if isinstance(error, InvalidStatus):
        kind, text = ProblemKind.REFUSED, _status_text(error, where)
    elif isinstance(error, ssl.SSLCertVerificationError):
        text = f"the certificate of {where} is not valid: {error.verify_message}"
    elif isinstance(error, socket.gaierror):
        text = f"there is no host of that name: {where}"
    elif isinstance(error, TimeoutError):
        kind, text = ProblemKind.SILENT, f"nothing answers at {where}"
    elif isinstance(error, ConnectionRefusedError) or _all_refused(error):
        text = f"connection refused at {where}: no gateway listens there"
    elif where.startswith("wss:") and isinstance(error, ssl.SSLError | ConnectionError | EOFError):
        text = f"no TLS with {where}: if the server speaks none, use ws:// instead of wss://"
    elif isinstance(error, InvalidMessage | EOFError | ConnectionError):
        text = (
            f"what answers at {where} does not speak HTTP: it may be another service, "
            "or a server with TLS (use wss:// instead of ws://)"
        )
    elif isinstance(error, InvalidHandshake):
        kind, text = ProblemKind.REFUSED, f"{where} does not open a WebSocket: {error}"
    return Problem(kind, text)


def of_subprotocol(where: str, wanted: str) -> Problem:
    """The other side opened a WebSocket, but chose no subprotocol."""
    return Problem(ProblemKind.REFUSED, f"{where} is no gateway: it does not speak {wanted}")


def _status_text(error: InvalidStatus, where: str) -> str:
    response = error.response
    detail = _detail(response.body)
    advice = {
        _NOT_FOUND: "the path may be wrong: a gateway's socket is at /ws",
        _FORBIDDEN: "it may not allow this origin (TAXI_ALLOWED_ORIGINS)",
        _UNAUTHORIZED: "it, or a proxy before it, asks for credentials",
    }.get(response.status_code, "it may not be a gateway, or a proxy does not forward WebSockets")
    return f"{where} answers HTTP {response.status_code}, and opens no WebSocket: {detail or advice}"


def _detail(body: bytes | bytearray | None) -> str:
    """The sentence of a problem document; else the first line of a text; else nothing."""
    text = (body or b"").decode("utf-8", "replace").strip()
    try:
        document: Any = json.loads(text)
    except ValueError:
        first = text.splitlines()[0] if text else ""
        return "" if first.startswith("<") else first[:_DETAIL_CHARS_MAX]
    detail = document.get("detail") if isinstance(document, dict) else None
    return detail[:_DETAIL_CHARS_MAX] if isinstance(detail, str) else ""


def _all_refused(error: BaseException) -> bool:
    """Whether each address of a host refused; asyncio raises one error for all of them."""
    return isinstance(error, OSError) and error.errno is None and str(error).count("refused") > 0
