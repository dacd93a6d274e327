# SPDX-License-Identifier: Apache-2.0
"""Geometries between degrees and the metres of a city's plane: for `shapely.transform`."""

from shapely import transform
from shapely.geometry.base import BaseGeometry

from scripts.city.streets import PLANE
from taxi.roads.projection import LocalPlane


def to_metres(geometry: BaseGeometry, plane: LocalPlane = PLANE) -> BaseGeometry:
    """Degrees → metres."""
    return transform(geometry, plane.metres)


def to_degrees(geometry: BaseGeometry, plane: LocalPlane = PLANE) -> BaseGeometry:
    """Metres → degrees."""
    return transform(geometry, plane.degrees)
