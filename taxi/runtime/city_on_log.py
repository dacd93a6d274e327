# SPDX-License-Identifier: Apache-2.0
"""Another city on a partition than the one that a service is configured for.

One partition is one city. If the order of `TAXI_CITIES` changes, or another city is started on old topics, a
service would decide, show or simulate by the streets of the wrong city, and everything would look healthy.
Each service therefore compares the city's name on the log (`EpochStarted.city`) with its own.
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

from taxi.bus import BusError
from taxi.runtime.env import Env
from taxi.topics import EVENTS

ANOTHER_CITY: Final = "another_city"
"""The code of the fault."""
_POLL_S: Final = 1.0


def is_another_city(on_log: str, own: str) -> bool:
    """Whether the log is that of another city. A log without an epoch has no city yet."""
    return on_log not in {"", own}


def describe_another_city(env: Env[Any], partition: int, on_log: str, own: str, consequence: str) -> str:
    """The text of the fault: what is on the log, what is configured, and what to do.

    Args:
        env: The service's environment.
        partition: That both cities are configured for.
        on_log: The city on the log.
        own: The city of this service.
        consequence: What the service does not do, as a sentence without its full stop.
    """
    return (
        f"partition {partition} of {env.settings.prefix}{EVENTS} has the city {on_log!r}, but this service "
        f"is configured for {own!r}. {consequence}. Set TAXI_CITY and TAXI_CITIES to the cities on the log, "
        "in their order, or give the other city topics of its own (TAXI_PREFIX), and start again"
    )


async def wait_while_another_city(
    env: Env[Any],
    partition: int,
    events_end: int,
    *,
    on_log: str,
    own: str,
    consequence: str,
    about: str = "",
) -> None:
    """Report the blocking fault until the log is another one: the topic of events was created again.

    Args:
        env: The service's environment.
        partition: See `describe_another_city`, as for `on_log`, `own` and `consequence`.
        events_end: How far the events were read.
        on_log: See above.
        own: See above.
        consequence: See above.
        about: That of `Faults.report`.
    """
    text = describe_another_city(env, partition, on_log, own, consequence)
    end = events_end
    try:
        while end >= events_end:
            env.faults.report(ANOTHER_CITY, text, blocks=True, about=about)
            await asyncio.sleep(_POLL_S)
            with suppress(BusError):  # no broker answers; that is reported elsewhere
                end = (await env.bus.offsets(EVENTS, partition)).end
    finally:
        env.faults.clear(ANOTHER_CITY, about=about)
