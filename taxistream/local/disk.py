# SPDX-License-Identifier: Apache-2.0
"""How large a demo's folder can become. docs/operations.md shows the sum."""

from typing import Final

from taxi.topics import SNAPSHOTS, specs
from taxistream.local.broker_files import MIB
from taxistream.local.child import LOG_BYTES_MAX

INTERNAL_TOPICS_MIB: Final = 4 * 2 * 4 + 4 * 2 * 4
"""Group offsets and transaction state: 4 partitions each, compacted, two segments of 4 MiB."""
CONTROLLER_MIB: Final = 16 + 8 + 2
"""The controller's log: its bound, a segment above it, a snapshot."""
SNAPSHOT_SLOTS: Final = 90
SNAPSHOT_MIB: Final = 1
"""One image of a city with 2,000 drivers; compaction keeps one a slot."""
PARTS: Final = 16
"""More parts than a demo has, each with a log and its predecessor."""
WRITES_A_CHECK_MIB: Final = 16
"""What is written between two looks at a topic's size (30 s), generously."""


def bound_mb(brokers: int = 1) -> int:
    """The most that `.taxi` takes, in MB. Each of several brokers has a copy of everything."""
    topics = sum(
        _snapshots_mib() if spec.name == SNAPSHOTS else _bounded_mib(spec.config)
        for spec in specs(bounded=True)
    )
    logs = PARTS * 2 * LOG_BYTES_MAX // MIB
    copy = topics + INTERNAL_TOPICS_MIB + CONTROLLER_MIB
    return (brokers * copy + logs) * MIB // 1_000_000


def _bounded_mib(config: dict[str, str]) -> int:
    """Retention drops whole segments, so the oldest and the active one stand above the bound."""
    segment = int(config["segment.bytes"])
    return (int(config["retention.bytes"]) + segment) // MIB + WRITES_A_CHECK_MIB


def _snapshots_mib() -> int:
    """What compaction keeps, as much again that it has not got to, and the active segment."""
    return 2 * SNAPSHOT_SLOTS * SNAPSHOT_MIB + 16
