# SPDX-License-Identifier: Apache-2.0
"""Which cities a log holds: the first is partition 0 of every topic, the second partition 1, and so on."""

from typing import NamedTuple


class City(NamedTuple):
    """A city on the log."""

    name: str
    partition: int
    folder: str
    """In `cities/`: its streets. Two cities may lie on the same ones."""


def parse(text: str) -> tuple[City, ...]:
    """Of `manhattan,uptown=manhattan`: names in the order of their partitions, `=folder` where it differs.

    Raises ValueError.
    """
    cities: list[City] = []
    for partition, entry in enumerate(text.split(",")):
        name, _, folder = (part.strip() for part in entry.partition("="))
        if not name:
            raise ValueError(f"{text!r}: a city has no name")
        if name in {city.name for city in cities}:
            raise ValueError(f"{text!r}: {name} is there twice")
        cities.append(City(name, partition, folder or name))
    return tuple(cities)
