# SPDX-License-Identifier: Apache-2.0
"""What the dispatcher can be told."""

from typing import Annotated, Literal

from msgspec import Meta

from dispatcher.limits import Limits
from taxi.runtime import settings

Milliseconds = Annotated[int, Meta(ge=1)]
_LIMITS = Limits()


class Settings(settings.Settings, frozen=True, kw_only=True):
    """The dispatcher's settings. Time limits are log time and go on the log."""

    policy: Literal["batched", "greedy", "fifo"] = "batched"
    """How rides and drivers are matched."""
    batch_interval_ms: Milliseconds = 2_000
    """How often matching runs, and a batch closes at the latest."""
    offer_timeout_ms: Milliseconds = _LIMITS.offer_timeout_ms
    refuse_ms: Milliseconds = _LIMITS.refuse_ms
    patience_ms: Milliseconds = _LIMITS.patience_ms
    no_show_ms: Milliseconds = _LIMITS.no_show_ms
    lost_ms: Milliseconds = _LIMITS.lost_ms
    lost_on_trip_ms: Milliseconds = _LIMITS.lost_on_trip_ms

    def limits(self) -> Limits:
        """The time limits as one value."""
        return Limits(
            policy_interval_ms=self.batch_interval_ms,
            offer_timeout_ms=self.offer_timeout_ms,
            refuse_ms=self.refuse_ms,
            patience_ms=self.patience_ms,
            no_show_ms=self.no_show_ms,
            lost_ms=self.lost_ms,
            lost_on_trip_ms=self.lost_on_trip_ms,
        )
