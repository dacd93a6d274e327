# SPDX-License-Identifier: Apache-2.0
"""The decoder and the rows of the Python client, under the name they had before it was a package."""

from taxi.client.decode import SUBPROTOCOL, VERSION, decode_cut
from taxi.client.hashing import driver_hash, ride_hash
from taxi.client.rows import IMAGE, STALE, Cut, DriverRow, Moved, RideRow, StreamError, near
from taxi.client.state import ClientState

__all__ = [
    "IMAGE",
    "STALE",
    "SUBPROTOCOL",
    "VERSION",
    "ClientState",
    "Cut",
    "DriverRow",
    "Moved",
    "RideRow",
    "StreamError",
    "decode_cut",
    "driver_hash",
    "near",
    "ride_hash",
]
