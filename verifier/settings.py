# SPDX-License-Identifier: Apache-2.0
"""The settings of the verifier."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from taxi.runtime import settings
from taxistream.tools.loadtest.address import socket_url


class Settings(settings.Settings, frozen=True, kw_only=True):
    """The verifier's settings."""

    gateway_url: str = "http://127.0.0.1:8000"
    """An address at which gateways answer. Several may share it, with or without a load balancer."""
    gateways: Annotated[int, Meta(ge=1, le=64)] = 1
    """How many gateways answer there. Each is checked."""
    check_interval_ms: Annotated[int, Meta(ge=100, le=60_000)] = 1_000
    """How often each gateway is checked."""
    client_token: str = ""
    """The bearer token with which it connects, if the gateways require one (docs/security.md)."""

    def problems(self) -> Iterator[tuple[str, str]]:
        """As in `taxi.runtime.settings.Settings`."""
        yield from super().problems()
        try:
            socket_url(self.gateway_url)
        except ValueError:
            yield "gateway_url", "http://HOST:PORT is wanted"
