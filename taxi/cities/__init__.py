# SPDX-License-Identifier: Apache-2.0
"""The list of cities on a log: the first is partition 0 of every topic, the second partition 1, and so on."""

import re
from pathlib import Path
from typing import Final, NamedTuple

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


class CityPartition(NamedTuple):
    """A city on the log."""

    name: str
    partition: int
    folder: str | Path
    """The folder of its streets: its name in `taxi/cities/`, or the path of a city of the user's own. Several
    cities may have the same one."""


def parse(text: str, own: Path | None = None) -> tuple[CityPartition, ...]:
    """Parse a list such as `manhattan,uptown=manhattan`.

    Args:
        text: Names in the order of their partitions, each with `=folder` if its folder has another name.
        own: A folder with cities of the user's own. A city in it precedes one of `taxi/cities/`.

    Raises:
        ValueError: A name is missing, malformed or there twice.
    """
    cities: list[CityPartition] = []
    for partition, entry in enumerate(text.split(",")):
        name, _, folder = (part.strip() for part in entry.partition("="))
        if not name:
            raise ValueError(f"{text!r}: a city has no name")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a city: 1 to 40 of A-Z a-z 0-9 . _ - are wanted")
        if name in {city.name for city in cities}:
            raise ValueError(f"{text!r}: {name} is there twice")
        cities.append(CityPartition(name, partition, _folder(folder or name, own)))
    return tuple(cities)


def _folder(name: str, own: Path | None) -> str | Path:
    """The path of the city in `own`, if it has one of this name; otherwise the name."""
    if own is None or not _NAME.fullmatch(name):  # a name such as "../.." would lead out of `own`
        return name
    folder = own.absolute() / name
    return folder if (folder / "city.json").is_file() else name
