# SPDX-License-Identifier: Apache-2.0
"""The six topics and their settings. A city is one partition, with the same number in each topic."""

from dataclasses import dataclass
from typing import Final

LOCATIONS: Final = "taxi.locations"
COMMANDS: Final = "taxi.commands"
EVENTS: Final = "taxi.events"
SNAPSHOTS: Final = "taxi.snapshots"
DEAD_LETTERS: Final = "taxi.dead-letters"
VERDICTS: Final = "taxi.verdicts"
DISPATCHER_GROUP: Final = "taxi.dispatchers"
"""The consumer group that gives each city to one dispatcher."""

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
MIB: Final = 1 << 20
MESSAGE_BYTES_MIN: Final = 600 * 1024
"""The least `max.message.bytes`: a part of a snapshot has at most 480 KiB of text and some other fields."""
KEPT_MS_MIN: Final = 600_000
"""The least `retention.ms`: with a snapshot each minute, a start reads at most ten minutes of the log."""


@dataclass(frozen=True)
class TopicSpec:
    """The name and settings with which a topic is created."""

    name: str
    """Without the prefix."""
    config: dict[str, str]
    """Kafka's names of settings → values."""

    def is_essential(self, setting: str, value: str) -> bool:
        """Whether a topic with this value, which differs from `config`, breaks a guarantee of the system.

        Other differences affect only disk space or speed.

        Args:
            setting: Kafka's name of the setting.
            value: The topic's value.
        """
        match setting:
            case "message.timestamp.type":
                return True  # log time is derived from append times
            case "cleanup.policy":
                # Compaction deletes events that a fold needs; without it retention deletes snapshots.
                return ("compact" in value) != ("compact" in self.config[setting])
            case "max.message.bytes":
                return int(value) < MESSAGE_BYTES_MIN
            case "retention.ms":
                return 0 <= int(value) < KEPT_MS_MIN
        return False


def specs(*, bounded: bool = False) -> tuple[TopicSpec, ...]:
    """The six topics. `bounded` limits their sizes, too, for a demo on a laptop's disk."""

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
        topic(VERDICTS, HOUR_MS, 16 * MIB),
    )
