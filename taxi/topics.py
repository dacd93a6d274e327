# SPDX-License-Identifier: Apache-2.0
"""The five topics: one partition is one city, the same number in each topic."""

from dataclasses import dataclass
from typing import Final

LOCATIONS: Final = "taxi.locations"
COMMANDS: Final = "taxi.commands"
EVENTS: Final = "taxi.events"
SNAPSHOTS: Final = "taxi.snapshots"
DEAD_LETTERS: Final = "taxi.dead-letters"

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
MIB: Final = 1 << 20


@dataclass(frozen=True)
class TopicSpec:
    """How a topic is made. `config` holds Kafka's own names and values."""

    name: str
    config: dict[str, str]


def specs(*, bounded: bool = False) -> tuple[TopicSpec, ...]:
    """All topics; `bounded` limits their size as well, for a demo that shares a laptop's disk."""

    def topic(name: str, retention_ms: int, bytes_max: int, **extra: str) -> TopicSpec:
        config = {"cleanup.policy": "delete", "retention.ms": str(retention_ms)}
        if bounded:
            config |= {"retention.bytes": str(bytes_max), "segment.bytes": str(16 * MIB)}
        return TopicSpec(name, config | extra)

    week_ms = 7 * DAY_MS
    return (
        topic(
            LOCATIONS,
            HOUR_MS,
            256 * MIB,
            **{"message.timestamp.type": "LogAppendTime", "segment.ms": str(10 * 60_000)},
        ),
        topic(COMMANDS, week_ms, 64 * MIB, **{"message.timestamp.type": "LogAppendTime"}),
        topic(EVENTS, week_ms, 256 * MIB),
        TopicSpec(
            SNAPSHOTS,
            {
                "cleanup.policy": "compact",
                "max.message.bytes": str(MIB),
                "segment.ms": str(10 * 60_000),
                "segment.bytes": str(16 * MIB),
                "min.cleanable.dirty.ratio": "0.2",
            },
        ),
        topic(DEAD_LETTERS, week_ms, 16 * MIB),
    )
