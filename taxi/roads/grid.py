# SPDX-License-Identifier: Apache-2.0
"""A small city with a regular grid of streets, for tests and simulation. It needs no files."""

from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np

from taxi.roads.network import CityInfo, LocalPlane, RoadNetwork, Zones

_ORIGIN = (-73.98, 40.75)
_MARGIN_DEG = 0.003


def grid_city(
    columns: int, rows: int, *, block_m: float = 200.0, speed_mps: float = 6.0, name: str = "grid"
) -> RoadNetwork:
    """A city with streets east–west and avenues north–south, all two-way, and square zones.

    Node `row * columns + column` counts from the south-west corner. Every arc is one block of `block_m`.

    Raises:
        ValueError: The grid has fewer than two nodes.
    """
    if columns < 1 or rows < 1 or columns * rows < 2:
        message = f"a grid of {columns} × {rows} has no street"
        raise ValueError(message)
    plane = LocalPlane.around(*_ORIGIN)
    nodes = plane.degrees([(c * block_m, r * block_m) for r, c in product(range(rows), range(columns))])
    arcs = np.array(sorted(_arcs(columns, rows)), np.int32)
    n_arcs = len(arcs)
    return RoadNetwork(
        city=_info(name, nodes),
        nodes=nodes,
        arc_from=arcs[:, 0].copy(),
        arc_to=arcs[:, 1].copy(),
        arc_length_m=np.full(n_arcs, block_m),
        arc_time_s=np.full(n_arcs, block_m / speed_mps),
        arc_class=np.zeros(n_arcs, np.uint8),
        classes=("residential",),
        arc_name=arcs[:, 2].copy(),
        street_names=(
            *(f"Street {r + 1}" for r in range(rows)),
            *(f"Avenue {c + 1}" for c in range(columns)),
        ),
        shape_start=np.arange(0, 2 * n_arcs + 1, 2, dtype=np.int32),
        shape=nodes[arcs[:, :2]].reshape(-1, 2),
        zones=Zones.blocks(columns, rows),
    )


def _arcs(columns: int, rows: int) -> Iterator[tuple[int, int, int]]:
    """(from, to, street) of the two arcs of every block."""
    streets = [[r * columns + c for c in range(columns)] for r in range(rows)]
    avenues = [[r * columns + c for r in range(rows)] for c in range(columns)]
    for name, street in enumerate([*streets, *avenues]):
        for a, b in pairwise(street):
            yield a, b, name
            yield b, a, name


def _info(name: str, nodes: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> CityInfo:
    west, south = (nodes.min(axis=0) - _MARGIN_DEG).tolist()
    east, north = (nodes.max(axis=0) + _MARGIN_DEG).tolist()
    return CityInfo(
        name=name,
        title="Squared paper",
        bbox=(west, south, east, north),
        snap_m_max=300.0,
        center=((west + east) / 2, (south + north) / 2),
        zoom=14.0,
        time_zone="UTC",
        travel_time_factor=1.0,
        attribution="",
    )
