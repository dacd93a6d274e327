# SPDX-License-Identifier: Apache-2.0
"""The city's limits. They stand in `PolicyActivated`, so that a replay decides by the same ones."""

from msgspec import Struct

from taxi.positions import fixes


class DecisionLimits(Struct, frozen=True, kw_only=True):
    """`*_ms`: milliseconds. Of city time where people wait, of log time where machines do.

    With a `speed` of 10, ten milliseconds of city time pass in one of log time (`taxi.city_time`).
    """

    policy_interval_ms: int = 2_000
    """Log time. Matching runs when log time passes a multiple of it."""
    offer_timeout_ms: int = 12_000
    refuse_ms: int = 5_000
    """For how long a driver may refuse a ride that was given by order."""
    patience_ms: int = 600_000
    """A ride that no driver accepted for this long expires."""
    no_show_ms: int = 300_000
    """A driver waits this long at the pickup."""
    lost_ms: int = fixes.LOST_MS
    """Log time. A driver without a position for this long is lost."""
    lost_on_trip_ms: int = 600_000
    """Log time. A trip whose driver is lost for this long is over."""
    pickup_ms_max: int = 1_800_000
    """A driver who took a ride and does not arrive within this loses it: every ride ends."""
    trip_ms_max: int = 10_800_000
    """A trip whose end is not reported is over after this."""
    timeouts_max: int = 5_000
    """At most so many rides, and as many drivers, time out in one batch, those overdue longest first.

    The others follow in the next batches that look, so no batch grows without a bound.
    """
