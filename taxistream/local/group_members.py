# SPDX-License-Identifier: Apache-2.0
"""Removes a dispatcher that has ended from its group, so that its cities are reassigned at once.

The supervisor sees the end of a process. The group sees nothing until the session expires, four seconds
later. A removal is only a hint: what keeps two dispatchers from deciding for one city is that the broker
fences the producer of the earlier one, so a hint that is wrong, late or lost costs time and nothing else.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from taxi.bus import BusError
from taxi.bus.kafka.admin import KafkaAdmin
from taxi.bus.kafka.limits import KafkaLimits
from taxi.runtime.settings import Settings
from taxi.topics import DISPATCHER_GROUP

WITHIN_S: Final = 2.0
"""After this time the session has almost expired by itself."""


async def remove_dispatcher(environ: Mapping[str, str], name: str) -> str | None:
    """Remove the members named `name` from the dispatchers' group.

    Args:
        environ: Leads to the cluster.
        name: TAXI_NAME of the dispatcher that has ended, which is its client id.

    Returns:
        None, or what kept it from doing so, in words.
    """
    limits = replace(KafkaLimits(), give_up_s=WITHIN_S, answer_s=WITHIN_S)
    try:
        async with (
            asyncio.timeout(WITHIN_S),
            KafkaAdmin.connect(Settings.from_env(environ), limits=limits) as admin,
        ):
            await admin.remove_members(DISPATCHER_GROUP, name)
    except TimeoutError:
        return "Kafka did not answer, so its cities are reassigned when its session has expired"
    except BusError as error:
        return f"its cities are reassigned when its session has expired: {error}"
    return None
