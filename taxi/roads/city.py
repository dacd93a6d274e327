# SPDX-License-Identifier: Apache-2.0
"""The description of a city besides its streets: name, service area, map view, attribution."""

import importlib.resources
import math
import zipfile
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

_HOUR_MS = 3_600_000
_ARRAYS: Final = ("graph.npz", "trips.npz")
"""What a city needs besides `city.json`. `zones.npz` and layers of the map may be missing."""


class UnknownCityError(LookupError):
    """There is no such folder in `taxi/cities/`. The text lists the existing ones."""


class CityInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of `city.json`. Places are (longitude, latitude), boxes (west, south, east, north)."""

    name: str
    """The folder's name, as in TAXI_CITY."""
    title: str
    bbox: tuple[float, float, float, float]
    """The service area: pickups and drop-offs must be within this box."""
    snap_m_max: float
    """They must not be farther than this from a junction."""
    center: tuple[float, float]
    """The centre of the map when it opens."""
    zoom: float
    """Its zoom level then."""
    time_zone: str
    """Its IANA name."""
    travel_time_factor: float
    """Driving time in traffic ÷ driving time in free flow."""
    attribution: str
    """HTML to show on every map."""
    utc_offset_h: int = 0
    """Offset of the hours of the day, without daylight saving, so that decisions do not depend on a time zone
    database."""
    drive_percent: tuple[int, ...] = ()
    """(24,) driving time at each hour of the day, in per cent of the tables' times. Empty: always 100."""
    drivers: Annotated[int, Meta(ge=1, le=100_000)] = 2000
    """How many taxis the simulator has in this city if no number is set."""
    demand_factor: Annotated[float, Meta(gt=0, le=100)] = 1.0
    """Ride requests for each driver at load 1.0 ÷ those in Manhattan: where trips are shorter, a driver does
    more of them."""

    def drive_percent_at(self, now_ms: int) -> int:
        """Driving times at this epoch time, in per cent of the tables' times."""
        if not self.drive_percent:
            return 100
        return self.drive_percent[(now_ms // _HOUR_MS + self.utc_offset_h) % 24]

    def in_bbox(self, lng: float, lat: float) -> bool:
        """Whether the point is in the box. False for NaN and infinities."""
        west, south, east, north = self.bbox
        return math.isfinite(lng) and math.isfinite(lat) and west <= lng <= east and south <= lat <= north


def city_names(own: Path | None = None) -> list[str]:
    """The names of the cities that this package and the folder `own` contain, sorted."""
    folders = [*_cities_dir().iterdir(), *(own.iterdir() if own is not None else ())]
    return sorted({folder.name for folder in folders if (folder / "city.json").is_file()})


def city_dir(city: str | Path) -> Path:
    """The folder of a city.

    Args:
        city: Its name, or the path of a folder with a `city.json`, which is returned unchanged.

    Raises:
        UnknownCityError: There is no such city.
    """
    if isinstance(city, Path) and (city / "city.json").is_file():
        return city
    if city not in city_names():  # prevents path traversal by a name such as "../.."
        message = f"no city {str(city)!r}; there are: {', '.join(city_names())}"
        raise UnknownCityError(message)
    return _cities_dir() / city


def load_city(city: str | Path) -> CityInfo:
    """Read a city's `city.json`. Raises UnknownCityError, msgspec.ValidationError."""
    return msgspec.json.decode((city_dir(city) / "city.json").read_bytes(), type=CityInfo)


def wrong_file(folder: Path) -> str | None:
    """What is wrong with the first missing or damaged file of a city; None if they look whole."""
    try:
        load_city(folder)
    except (OSError, msgspec.DecodeError) as error:
        return f"{folder.name}/city.json can't be read ({error})"
    for name in _ARRAYS:
        if not (folder / name).exists():
            return f"{folder.name}/{name} is missing"
        if not zipfile.is_zipfile(folder / name):
            return f"{folder.name}/{name} is damaged: it is no whole file of arrays"
    return None


def _cities_dir() -> Path:
    return Path(str(importlib.resources.files("taxi.cities").joinpath("__init__.py"))).parent
