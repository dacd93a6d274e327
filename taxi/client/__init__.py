# SPDX-License-Identifier: Apache-2.0
"""The Python client of the live stream: docs/client-python.md.

How it works, one module for each step:

1. `timed_socket` opens a WebSocket and watches its time limits.
2. `link` decides what to do after each event: connect, hand over to another gateway, come back, stop. Its
   table of states is data (`protocol.toml`), the same as the TypeScript client's.
3. `decode` turns a binary message into an `Update` (`rows`), and `hashing` hashes the rows in it.
4. `replica` applies an update whole and compares counts and hash with it.
5. `viewport` keeps track of which view was requested and which one the rows are of.
6. `stream` is the shell around them, and all that an application uses: `connect` and `CityStream`.

Only `timed_socket` and `stream` touch sockets, timers or chance. Nothing here needs Kafka, numpy or a
service; `websockets` is the only dependency.
"""

from taxi.client.link import Refusal
from taxi.client.problem import Fault, GatewayVerdict, Problem, ProblemKind
from taxi.client.protocol import LinkState
from taxi.client.rows import DriverRow, RideRow, ScenarioUnderWay, StreamError, Update
from taxi.client.stream import (
    CityStream,
    LinkStatus,
    StreamRefusedError,
    StreamStats,
    StreamUnreachableError,
    connect,
)
from taxi.client.viewport import BBox, View
from taxi.cursor import Cursor

__all__ = [
    "BBox",
    "CityStream",
    "Cursor",
    "DriverRow",
    "Fault",
    "GatewayVerdict",
    "LinkState",
    "LinkStatus",
    "Problem",
    "ProblemKind",
    "Refusal",
    "RideRow",
    "ScenarioUnderWay",
    "StreamError",
    "StreamRefusedError",
    "StreamStats",
    "StreamUnreachableError",
    "Update",
    "View",
    "connect",
]
