# SPDX-License-Identifier: Apache-2.0
"""The polygons of geometries that cuts and unions leave."""

from shapely import make_valid
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry


def polygons(area: BaseGeometry) -> list[Polygon]:
    """The polygons of any geometry; points and lines that a cut left are dropped."""
    if isinstance(area, Polygon):
        return [area]
    return [polygon for part in getattr(area, "geoms", []) for polygon in polygons(part)]


def polygonal(area: BaseGeometry) -> MultiPolygon:
    """All polygons of any geometry, made valid."""
    return MultiPolygon(polygons(make_valid(area)))
