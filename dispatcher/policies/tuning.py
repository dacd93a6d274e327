# SPDX-License-Identifier: Apache-2.0
"""The parameters of the policies. `PolicyActivated` contains them, so a replay uses the same values."""

from msgspec import Struct


class Tuning(Struct, frozen=True, kw_only=True):
    """Most of them are for `batched`. docs/policies.md says on which seeds each value was chosen."""

    waiting_max: int = 4_000
    """For every policy: how many waiting rides, the oldest first, take part in one batch. More are waiting
    only after an outage or under overload."""
    table_max: int = 10_000_000
    """For `greedy` and `fifo`: how many pairs of ride and driver one batch computes, from the oldest ride
    on."""

    candidates_min: int = 32
    """How many drivers are candidates for a ride: the nearest by straight-line distance."""
    pairs_max: int = 16_000
    """A ride has more candidates as long as the batch has at most so many pairs: then chains can be
    longer."""
    ageing_ms_per_s: int = 250
    """How much each second of waiting reduces a ride's cost."""
    value_permille: int = 500
    """Weight of the difference between the expected idle times at the drop-off and at the driver's place."""
    trip_permille: int = 100
    """Weight of a ride's own duration. If drivers are short, short rides go first, as they free them
    sooner."""
    rematch_interval_ms: int = 4_000
    """How often rides before their pickup are matched again."""
    rematch_left_ms_min: int = 45_000
    """A ride keeps its driver if the driver is nearer to the pickup than this."""
    swap_price_ms: int = 20_000
    """The cost of the first change of a ride's driver."""
    swap_price_growth_permille: int = 500
    """By which share of itself that cost grows with each earlier change."""
    ahead_ms: int = 30_000
    """Drivers who should reach their drop-off within this time take part in the assignment."""
    ahead_price_ms: int = 20_000
    """The additional cost of such a driver: getting out takes time, and the arrival is not certain."""
    ahead_late_ms_max: int = 60_000
    """A driver who is later than this at the drop-off does not take part."""
    reposition_interval_ms: int = 30_000
    """How often idle drivers are repositioned."""
    reposition_horizon_ms: int = 600_000
    """A driver who becomes free within this time counts as supply of the drop-off's zone."""
    reposition_drive_ms_max: int = 1_300_000
    """The longest drive that a driver is asked for."""
    reposition_drives_max: int = 300
    """The most drives of one batch, which limits its computing time. Later batches send the others."""
    reposition_slack_ms: int = 60_000
    """The drive of a repositioned driver ends this long after the expected arrival, even if not reported."""
