# SPDX-License-Identifier: Apache-2.0
"""`city.json`: what `CityInfo` in taxi/roads/city.py reads."""

from pathlib import Path

import msgspec

from scripts.city.outputs import write_json
from scripts.city.streets import Streets
from taxi.roads.network import CityInfo

_MARGIN_DEG = 0.003
"""Some 300 m: as far as a point may lie from a junction."""

DRIVE_PERCENT = (
    *(70, 66, 63, 62, 65, 72),  # night
    *(82, 92, 100, 102, 100, 100),
    *(100, 100, 100, 104, 110, 114),  # afternoon
    *(110, 102, 95, 88, 82, 76),
)
"""A profile of our own: free streets at night, the slowest hour after five."""


def write_city(path: Path, streets: Streets) -> None:
    """Manhattan's. The service area is the network's box and a margin."""
    (west, south), (east, north) = streets.nodes.min(axis=0).tolist(), streets.nodes.max(axis=0).tolist()
    info = CityInfo(
        name="manhattan",
        title="Manhattan",
        bbox=(
            round(west - _MARGIN_DEG, 3),
            round(south - _MARGIN_DEG, 3),
            round(east + _MARGIN_DEG, 3),
            round(north + _MARGIN_DEG, 3),
        ),
        snap_m_max=300.0,
        center=(-73.9785, 40.7527),
        zoom=12.9,
        time_zone="America/New_York",
        travel_time_factor=1.839,
        utc_offset_h=-5,
        drive_percent=DRIVE_PERCENT,
        attribution=(
            '© <a href="https://www.openstreetmap.org/copyright">OpenStreetMap contributors</a> · '
            '<a href="https://opendata.cityofnewyork.us/">NYC Open Data</a>'
        ),
    )
    write_json(path, msgspec.to_builtins(info))
