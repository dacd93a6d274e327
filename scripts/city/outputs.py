# SPDX-License-Identifier: Apache-2.0
"""Writes files that are equal byte for byte on every run and machine."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

Feature = tuple[BaseGeometry, dict[str, Any]]
BYTES_MAX = 2 * 1024 * 1024
_DECIMALS = 6


def write_geojson(path: Path, features: Iterable[Feature]) -> None:
    """A FeatureCollection, coordinates to 1e-6 degrees (a hand's breadth)."""
    collection = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "properties": properties, "geometry": _geometry(shape)}
            for shape, properties in features
            if not shape.is_empty
        ],
    }
    text = json.dumps(collection, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """JSON for people."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def write_manifest(city: Path, sources: Sequence[Mapping[str, str]]) -> None:
    """`manifest.json`: the hash of every file in the folder, and of every file it was made from.

    Raises ValueError if a file is larger than BYTES_MAX.
    """
    files = sorted(p for p in city.rglob("*") if p.is_file() and p.name != "manifest.json")
    for file in files:
        if file.stat().st_size > BYTES_MAX:
            message = f"{file} is larger than {BYTES_MAX} bytes"
            raise ValueError(message)
    hashes = {f.relative_to(city).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
    write_json(city / "manifest.json", {"files": hashes, "sources": list(sources)})


def _geometry(shape: BaseGeometry) -> dict[str, Any]:
    geometry = mapping(shape)
    return {"type": geometry["type"], "coordinates": _rounded(geometry["coordinates"])}


def _rounded(coordinates: Any) -> Any:
    if isinstance(coordinates[0], float):
        return [round(number, _DECIMALS) for number in coordinates]
    return [_rounded(part) for part in coordinates]
