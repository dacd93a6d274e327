# SPDX-License-Identifier: Apache-2.0
"""The settings of a dispatcher."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from dispatcher.limits import DecisionLimits
from taxi.messages import SPEED_MAX
from taxi.runtime import settings

Milliseconds = Annotated[int, Meta(ge=1, le=2**31 - 1)]
_LIMITS = DecisionLimits()


class Settings(settings.Settings, frozen=True, kw_only=True):
    """The dispatcher's settings. Time limits and the speed go on the log."""

    policy: str = "batched"
    """How rides and drivers are matched: `batched`, `greedy`, `fifo`, `FILE.py:CLASS`, or the policy of an
    installed package."""
    speed: Annotated[int, Meta(ge=1, le=SPEED_MAX)] = 1
    """How many times as fast as the clock people live: driving, waiting, demand. Positions, batches, sessions
    and lost signals keep to the clock."""
    batch_interval_ms: Milliseconds = 2_000
    """How often matching runs; a batch closes at the latest after this time."""
    offer_timeout_ms: Milliseconds = _LIMITS.offer_timeout_ms
    """An offer that the driver has not answered by then expires."""
    refuse_ms: Milliseconds = _LIMITS.refuse_ms
    """How long a driver who got another ride by re-matching may refuse it."""
    patience_ms: Milliseconds = _LIMITS.patience_ms
    """A ride without a driver by then expires."""
    no_show_ms: Milliseconds = _LIMITS.no_show_ms
    """How long a driver waits at the pickup."""
    lost_ms: Milliseconds = _LIMITS.lost_ms
    """A driver without a position for this long is lost."""
    lost_on_trip_ms: Milliseconds = _LIMITS.lost_on_trip_ms
    """A trip whose driver is lost for this long is cancelled."""

    def problems(self) -> Iterator[tuple[str, str]]:
        """Those of every service, and a policy that cannot be loaded."""
        from dispatcher.policies import plugins  # noqa: PLC0415 - `taxi --help` does without

        yield from super().problems()
        try:
            plugins.load(self.policy)
        except plugins.PolicyError as error:
            yield "policy", str(error)

    def partitions(self) -> int:
        """All of the log's: it may decide for any of its cities."""
        return len(self.served())

    def limits(self) -> DecisionLimits:
        """The time limits as one value."""
        return DecisionLimits(
            policy_interval_ms=self.batch_interval_ms,
            offer_timeout_ms=self.offer_timeout_ms,
            refuse_ms=self.refuse_ms,
            patience_ms=self.patience_ms,
            no_show_ms=self.no_show_ms,
            lost_ms=self.lost_ms,
            lost_on_trip_ms=self.lost_on_trip_ms,
        )
