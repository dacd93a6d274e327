# SPDX-License-Identifier: Apache-2.0
"""Checks that the topics of a service exist and have the settings that its guarantees depend on.

A cluster with automatic topic creation, or an operator, may have created them with producers' timestamps,
with compaction or with too few partitions. A service on such topics would run with wrong results. It
therefore reports a fault, and a service that writes waits until the topics are right.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from taxi.bus import BusError
from taxi.runtime.env import Log
from taxi.runtime.faults import Faults
from taxi.runtime.settings import Settings
from taxi.topics import specs

if TYPE_CHECKING:
    from taxi.bus.kafka.admin import TopicDescription

MISSING: Final = "topics_missing"
WRONG: Final = "topics_wrong"
_RETRY_S: Final = 1.0
REPEAT_S: Final = 60.0

Describe = Callable[[Sequence[str]], Awaitable[Mapping[str, "TopicDescription"]]]


class TopicCheck:
    """Checks the topics of one service at its start and once a minute.

    Args:
        names: The topics that the service reads or writes, without the prefix.
        partitions: How many each topic needs at least.
        describe: Returns those of the given topics that exist. Raises BusError.
        faults: Gets `topics_missing` and `topics_wrong`, which block the process.
        log: Gets a warning if the topics' settings can't be read.
    """

    def __init__(
        self, names: Sequence[str], partitions: int, describe: Describe, faults: Faults, log: Log
    ) -> None:
        self._names = tuple(names)
        self._partitions = partitions
        self._describe = describe
        self._faults = faults
        self._log = log
        self._warned = False

    async def until_sound(self) -> None:
        """Wait until no topic is missing or wrong, and report a fault meanwhile.

        It also returns if the broker does not answer, because the service reports that itself.
        """
        while not await self.check_once():  # noqa: ASYNC110 - a cluster sends no event
            await asyncio.sleep(_RETRY_S)

    async def repeat(self, after_s: float = REPEAT_S) -> None:
        """Check once a minute, or once a second while something is wrong, until cancelled.

        The first check is after `after_s`.
        """
        while True:
            await asyncio.sleep(after_s)
            after_s = REPEAT_S if await self.check_once() else _RETRY_S

    async def check_once(self) -> bool:
        """Check once and update the faults. Returns False if something is missing or wrong."""
        try:
            found = await self._describe(self._names)
        except (BusError, OSError) as error:
            self._log.debug("topics can't be checked", reason=str(error))
            return True
        missing = [name for name in self._names if name not in found]
        wrong = [text for name in self._names if name in found for text in self._faults_of(found[name])]
        self._report(
            MISSING, missing and f"topics are missing: {', '.join(missing)}. `taxi topics` makes them"
        )
        self._report(WRONG, wrong and f"{'; '.join(wrong)}. `taxi topics --fix` alters them")
        if not self._warned and any(not topic.config for topic in found.values()):
            self._warned = True
            self._log.warning(
                "the settings of topics are not checked", do="grant DescribeConfigs on them to this service"
            )
        return not missing and not wrong

    def _report(self, code: str, text: str | list[str]) -> None:
        if text:
            self._faults.report(code, str(text), blocks=True)
        else:
            self._faults.clear(code)

    def _faults_of(self, topic: "TopicDescription") -> list[str]:
        spec = next(spec for spec in specs() if spec.name == topic.name)
        wrong = [
            f"{topic.name} has {setting}={topic.config[setting]}, not {value}"
            for setting, value in spec.config.items()
            if topic.config.get(setting, value) != value and spec.is_essential(setting, topic.config[setting])
        ]
        if topic.partitions < self._partitions:
            wrong.append(f"{topic.name} has {topic.partitions} partitions, not {self._partitions}")
        return wrong


async def describe_on_kafka(settings: Settings, names: Sequence[str]) -> Mapping[str, "TopicDescription"]:
    """Describe topics of the cluster of the settings, over a connection of its own. Raises BusError."""
    from taxi.bus.kafka.admin import KafkaAdmin  # noqa: PLC0415 - a gateway that comes back loads it later

    async with KafkaAdmin.connect(settings) as admin:
        return await admin.describe_topics(names)
