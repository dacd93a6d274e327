# SPDX-License-Identifier: Apache-2.0
"""What a gateway can be told."""

from typing import Annotated

from msgspec import Meta

from taxi.fixes import EXPIRY_MS
from taxi.runtime import settings
from taxi.runtime.settings import Port, Positive


class Settings(settings.Settings, frozen=True, kw_only=True):
    """Beside what every service needs. Gateways of one city are told the same."""

    host: str = "127.0.0.1"
    """Where page, API and socket are served."""
    port: Port = 8000
    """0: any free one, which the log then names."""
    reuse_port: bool = True
    """Share the port with other gateways of this machine (SO_REUSEPORT)."""
    allowed_origins: str = ""
    """Further origins whose pages may open the socket, comma-separated; the page's own always may."""
    trusted_proxies: str = ""
    """Addresses and networks whose X-Forwarded-For is believed, comma-separated."""
    token_secret: Annotated[str, Meta(pattern=r"^$|^[^,]{32,}(,[^,]{32,})*$")] = ""
    """Signs and checks tokens, at least 32 bytes; several, comma-separated, while one replaces another.
    Empty: no tokens are asked for."""
    clients_max: Positive = 10_000
    address_clients_max: Positive = 200
    """Of one address (a /64 of IPv6)."""
    address_rides_per_minute: Positive = 30
    """Ride requests over HTTP that one address may make."""
    limit_loopback: bool = False
    """Whether this machine's own addresses are limited, too."""
    cut_interval_ms: Annotated[int, Meta(ge=10, le=1000)] = 100
    row_expiry_ms: Positive = EXPIRY_MS
    """Part of the protocol, of log time: for tests that have no minute to wait."""
    resume_ms: Positive = 120_000
    """How far back a diff reaches, in log time."""
    drain_per_s: Positive = 500
    """How many clients a second are sent elsewhere at SIGTERM."""
    parts_dir: str = ""
    """The data directory of a local demo: enables the kill button. Empty: none."""
