# SPDX-License-Identifier: Apache-2.0
"""What is known of a city besides its streets: name, service area, first look at the map, credit."""

import importlib.resources
import math
from pathlib import Path

import msgspec
from msgspec import Struct

_HOUR_MS = 3_600_000


class UnknownCityError(LookupError):
    """There is no such folder in `cities/`. The text names those there are."""


class CityInfo(Struct, frozen=True, kw_only=True):
    """`city.json`. Places are (longitude, latitude) in degrees, boxes (west, south, east, north)."""

    name: str
    """The folder's name, as in TAXI_CITY."""
    title: str
    bbox: tuple[float, float, float, float]
    """A ride's ends lie within this box, and…"""
    snap_m_max: float
    """…no farther than this from a junction."""
    center: tuple[float, float]
    """Where the map opens."""
    zoom: float
    time_zone: str
    """IANA name."""
    travel_time_factor: float
    """Free-flow times × this are the city's: traffic, lights, pedestrians."""
    attribution: str
    """HTML, to be shown on every map."""
    utc_offset_h: int = 0
    """Hours of the day are counted from here, summer and winter: a decision must not hang on a time zone
    file."""
    drive_percent: tuple[int, ...] = ()
    """For each hour of the day, how long a drive takes, in per cent of the tables' time; empty: 100."""

    def drive_percent_at(self, now_ms: int) -> int:
        """How long drives take now."""
        if not self.drive_percent:
            return 100
        return self.drive_percent[(now_ms // _HOUR_MS + self.utc_offset_h) % 24]

    def in_bbox(self, lng: float, lat: float) -> bool:
        """Whether the point lies in the box. NaN and infinities don't."""
        west, south, east, north = self.bbox
        return math.isfinite(lng) and math.isfinite(lat) and west <= lng <= east and south <= lat <= north


def city_names() -> list[str]:
    """The cities shipped with this package."""
    folders = _cities_dir().iterdir()
    return sorted(folder.name for folder in folders if (folder / "city.json").is_file())


def city_dir(city: str | Path) -> Path:
    """The folder of a city, given its name; a path stands for itself. Raises UnknownCityError."""
    if isinstance(city, Path) and (city / "city.json").is_file():
        return city
    if city not in city_names():  # so a name from outside can't walk the disk
        message = f"no city {str(city)!r}; there are: {', '.join(city_names())}"
        raise UnknownCityError(message)
    return _cities_dir() / city


def load_city(city: str | Path) -> CityInfo:
    """Read `city.json`. Raises UnknownCityError, msgspec.ValidationError."""
    return msgspec.json.decode((city_dir(city) / "city.json").read_bytes(), type=CityInfo)


def _cities_dir() -> Path:
    return Path(str(importlib.resources.files("cities").joinpath("__init__.py"))).parent
