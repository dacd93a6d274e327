# SPDX-License-Identifier: Apache-2.0
"""The settings of a gateway."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from gateway.access.tokens import Keys
from taxi.cities import CityPartition
from taxi.positions.fixes import EXPIRY_MS
from taxi.runtime import checks, settings
from taxi.runtime.origins import parse_origins
from taxi.runtime.settings import Port, Positive


class Settings(settings.Settings, frozen=True, kw_only=True):
    """The settings of a gateway besides those of every service.

    All gateways of a city should have the same.
    """

    shown_cities: str = ""
    """The cities that this gateway shows, comma-separated: some of TAXI_CITIES. The page opens with the
    first. Empty: TAXI_CITY alone."""
    host: str = "127.0.0.1"
    """The address on which page, API and WebSocket are served."""
    port: Port = 8000
    """Their port. 0: any free one, which is then logged."""
    reuse_port: bool = True
    """Share the port with other gateways of this machine (SO_REUSEPORT)."""
    allowed_origins: str = ""
    """Further origins whose pages may open the WebSocket, comma-separated; the gateway's own page always may.
    Their hosts count as names of this machine."""
    trusted_proxies: str = ""
    """Addresses and networks whose X-Forwarded-For is trusted, comma-separated."""
    token_secret: str = ""
    """Signs and verifies tokens, at least 32 bytes; several, comma-separated, while a new one replaces an old
    one. Empty: no tokens are required."""
    clients_max: Positive = 10_000
    """WebSocket connections in total."""
    address_clients_max: Positive = 200
    """WebSocket connections of one address (a /64 of IPv6)."""
    address_rides_per_minute: Positive = 30
    """Ride requests over HTTP of one address, and as many cancellations."""
    limit_loopback: bool = False
    """Whether this machine's own addresses are limited, too."""
    cut_interval_ms: Annotated[int, Meta(ge=10, le=1000)] = 100
    """The interval of cuts, and so of updates."""
    row_expiry_ms: Positive = EXPIRY_MS
    """After which log time a row without a new position is removed. It is a part of the protocol; only tests
    change it."""
    resume_ms: Positive = 120_000
    """The size of the resume window, in log time."""
    drain_per_s: Positive = 500
    """How many clients a second are moved to other gateways after SIGTERM."""
    parts_dir: str = ""
    """The data directory of a local demo, which enables the kill button. Empty: no kill button."""
    scenarios_dir: str = ""
    """A folder with files of scenarios, which enables their control from this machine. Empty: no control."""

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        yield from self._wrong_shown()
        if why := checks.host(self.host):
            yield "host", why
        if self.port and self.port == self.admin_port:
            yield "admin_port", "page and admin port (TAXI_PORT) are the same; choose two"
        if why := checks.networks(self.trusted_proxies):
            yield "trusted_proxies", why
        for field, parse in (("allowed_origins", parse_origins), ("token_secret", Keys)):
            try:
                parse(getattr(self, field))
            except ValueError as error:
                yield field, str(error)
        if why := checks.directory(self.parts_dir):
            yield "parts_dir", why
        if why := checks.directory(self.scenarios_dir):
            yield "scenarios_dir", why

    def shown(self) -> tuple[CityPartition, ...]:
        """The cities that this gateway shows. Raises ValueError if the log has no such city."""
        if not self.shown_cities:
            return (self.own(),)
        cities = {city.name: city for city in self.served()}
        names = [name.strip() for name in self.shown_cities.split(",")]
        if len(set(names)) < len(names):
            raise ValueError("a city is there twice")
        if unknown := [name for name in names if name not in cities]:
            raise ValueError(f"TAXI_CITIES holds no {unknown[0]!r}; it holds {', '.join(cities)}")
        return tuple(cities[name] for name in names)

    def partitions(self) -> int:
        return max(city.partition for city in self.shown()) + 1

    def _wrong_shown(self) -> Iterator[tuple[str, str]]:
        try:
            self.shown()
        except ValueError as error:
            if self.shown_cities:  # otherwise TAXI_CITY is wrong, which the shared settings report
                yield "shown_cities", str(error)
