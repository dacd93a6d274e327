# SPDX-License-Identifier: Apache-2.0
"""A dispatcher with several cities is ready when it decides for all of them."""

from collections.abc import Iterable

from taxi.runtime.env import Health


class Together:
    """Joins the readiness of several cities into one."""

    def __init__(self, health: Health, cities: Iterable[int]) -> None:
        self._health = health
        self._awaited = dict.fromkeys(cities)

    def of(self, city: int) -> "CityReadiness":
        """The readiness of one of them."""
        return CityReadiness(self, city)

    def decides(self, city: int) -> None:
        """A city has closed a batch."""
        self._awaited.pop(city, None)
        if not self._awaited:
            self._health.ready()

    def waits(self, city: int, reason: str) -> None:
        """A city does not decide for now."""
        self._awaited[city] = None
        self._health.not_ready(reason)


class CityReadiness:
    """One city's `Health`."""

    def __init__(self, together: Together, city: int) -> None:
        self._together = together
        self._city = city

    def ready(self) -> None:
        self._together.decides(self._city)

    def not_ready(self, reason: str) -> None:
        self._together.waits(self._city, reason)
