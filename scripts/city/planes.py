# SPDX-License-Identifier: Apache-2.0
"""Geometries between degrees and the metres of `streets.PLANE`: for `shapely.transform`."""

from shapely import transform
from shapely.geometry.base import BaseGeometry

from scripts.city.streets import PLANE


def to_metres(geometry: BaseGeometry) -> BaseGeometry:
    """Degrees → metres."""
    return transform(geometry, PLANE.metres)


def to_degrees(geometry: BaseGeometry) -> BaseGeometry:
    """Metres → degrees."""
    return transform(geometry, PLANE.degrees)
