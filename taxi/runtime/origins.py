# SPDX-License-Identifier: Apache-2.0
"""Origins (RFC 6454) and Host headers (RFC 9110), normalised so that equivalent spellings compare as equal.

`HTTPS://Taxi.Example.`, `https://taxi.example` and `https://taxi.example:443` are the same origin. A proxy
may send `Host: taxi.example:443` if the browser sends `taxi.example`.
"""

import ipaddress
import re
from typing import Final, NamedTuple

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?")
_CHANGED_BY_IDNA: Final = frozenset("ßς\u200c\u200d")
"""Characters that IDNA 2003 (Python's codec) converts otherwise than browsers."""


class Place(NamedTuple):
    """A normalised host and a port. Port None: the default of the scheme."""

    host: str
    port: int | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


class Origin(NamedTuple):
    """The origin of a page. Port None: none was given, and the scheme has no default."""

    scheme: str
    host: str
    port: int | None

    def is_at(self, place: Place) -> bool:
        """Whether this origin and `place` have the same host and port.

        The scheme is not compared, because a proxy may terminate TLS.
        """
        default = _DEFAULT_PORTS.get(self.scheme)
        if default is None:  # an app or a browser extension, which no host serves
            return False
        return (self.host, self.port) == (place.host, place.port or default)

    def __str__(self) -> str:
        is_default = self.port == _DEFAULT_PORTS.get(self.scheme)
        return f"{self.scheme}://{Place(self.host, None if is_default else self.port)}"


def parse_origin(text: str) -> Origin:
    """Parse an `Origin` header. Raises ValueError."""
    scheme, colon, rest = text.partition("://")
    scheme = scheme.lower()
    if not colon or not _SCHEME.fullmatch(scheme):
        raise ValueError(f"{text!r} is no origin: scheme://host[:port] is wanted")
    place = parse_place(rest)
    return Origin(scheme, place.host, place.port or _DEFAULT_PORTS.get(scheme))


def parse_place(text: str) -> Place:
    """Parse `host[:port]`, as in a `Host` header. Raises ValueError."""
    if text.startswith("["):
        inside, bracket, port = text[1:].partition("]")
        if not bracket or port[:1] not in {"", ":"} or "%" in inside:
            raise ValueError(f"{text!r} is no host: an IPv6 address in brackets is wanted")
        return Place(str(ipaddress.IPv6Address(inside)), _port(port[1:]))
    host, _, port = text.partition(":")
    host = host.lower().removesuffix(".")
    if not _HOST.fullmatch(host) or ".." in host:
        raise ValueError(f"{text!r} is no host")
    return Place(host, _port(port))


def parse_origins(text: str) -> frozenset[Origin]:
    """Parse the setting TAXI_ALLOWED_ORIGINS: origins, comma-separated.

    Raises ValueError with what to write.
    """
    return frozenset(_written(entry.strip()) for entry in text.split(",") if entry.strip())


def _written(text: str) -> Origin:
    """Parse an origin as a user may write it: with a slash at its end, or with an internationalised host."""
    text = text.removesuffix("/")
    scheme, _, rest = text.partition("://")
    if "*" in text:
        raise ValueError(f"{text!r}: there are no wildcards; list each origin, as in https://taxi.example")
    if scheme.lower() in {"ws", "wss"}:
        raise ValueError(f"{text!r}: a page's origin begins with http:// or https://")
    if not rest:
        raise ValueError(f"{text!r}: the scheme is missing, as in https://{scheme or 'taxi.example'}")
    if "/" in rest or "?" in rest or "#" in rest or "@" in rest:
        raise ValueError(f"{text!r}: an origin has no path: scheme://host[:port] is wanted")
    if not rest.isascii():
        text = f"{scheme}://{_in_ascii(rest)}"
    return parse_origin(text)


def _in_ascii(place: str) -> str:
    if _CHANGED_BY_IDNA & set(place):
        raise ValueError(f"{place!r}: write the host as browsers send it (xn--…)")
    host, colon, port = place.partition(":")
    try:
        return host.encode("idna").decode("ascii") + colon + port
    except UnicodeError:
        raise ValueError(f"{place!r} is no host") from None


def _port(text: str) -> int | None:
    """A port number, or None if `text` is empty, which RFC 3986 allows. Raises ValueError."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= 65535):
        raise ValueError(f"{text!r} is no port")
    return int(text)
