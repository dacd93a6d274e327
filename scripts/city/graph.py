# SPDX-License-Identifier: Apache-2.0
"""`graph.npz`: the network as arrays (`RoadNetwork` in taxi/roads/network.py reads it)."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from scripts.city.arrays import write_npz
from scripts.city.streets import Streets
from taxi.roads.projection import Floats


def write_graph(path: Path, streets: Streets, shapes: list[Floats]) -> None:
    """Nodes and shape points are integers of 1e-7 degrees, so that a shape starts exactly at its node."""
    arcs = streets.arcs
    classes = sorted({arc.road_class for arc in arcs})
    names = sorted({arc.name for arc in arcs})
    class_index = {road_class: i for i, road_class in enumerate(classes)}
    name_index = {name: i for i, name in enumerate(names)}
    node_e7 = np.rint(streets.nodes * 1e7).astype(np.int32)
    shape_e7 = np.rint(streets.plane.degrees(np.concatenate(shapes)) * 1e7).astype(np.int32)
    starts = np.cumsum([0, *map(len, shapes)]).astype(np.int32)
    for arc, (start, end) in zip(arcs, pairwise(starts), strict=True):
        shape_e7[[start, end - 1]] = node_e7[[arc.tail, arc.head]]
    write_npz(
        path,
        {
            "node_e7": node_e7,
            "arc_from": np.array([arc.tail for arc in arcs], np.uint16),
            "arc_to": np.array([arc.head for arc in arcs], np.uint16),
            "length_m": np.array([arc.length_m for arc in arcs], np.float32),
            "time_s": np.array([arc.time_s for arc in arcs], np.float32),
            "arc_class": np.array([class_index[arc.road_class] for arc in arcs], np.uint8),
            "classes": np.array(classes),
            "arc_name": np.array([name_index[arc.name] for arc in arcs], np.uint16),
            "street_names": np.array(names),
            "shape_start": starts,
            "shape_e7": shape_e7,
        },
    )
