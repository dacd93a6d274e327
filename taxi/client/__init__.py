# SPDX-License-Identifier: Apache-2.0
"""The Python client of the live stream: docs/client-python.md."""

from taxi.client.city import City, Refused, Tally, connect
from taxi.client.link import State
from taxi.client.rows import Cut, DriverRow, RideRow, StreamError
from taxi.client.wishes import BBox
from taxi.cursor import Cursor

__all__ = [
    "BBox",
    "City",
    "Cursor",
    "Cut",
    "DriverRow",
    "Refused",
    "RideRow",
    "State",
    "StreamError",
    "Tally",
    "connect",
]
