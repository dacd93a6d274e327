# SPDX-License-Identifier: Apache-2.0
"""What a policy can be set to. Stands in `PolicyActivated`, so that a replay decides by the same."""

from msgspec import Struct


class Tuning(Struct, frozen=True, kw_only=True):
    """For `batched`; on which seeds each number was chosen stands in docs/policies.md."""

    candidates_min: int = 32
    """Drivers who are considered for a ride: the nearest, as the crow flies…"""
    pairs_max: int = 16_000
    """…and more, while there are no more pairs than this in all: a chain may reach far across the city."""
    ageing_ms_per_s: int = 250
    """By how much cheaper each second of waiting makes a ride."""
    value_permille: int = 500
    """How much of the difference between two places (drop-off, driver's) counts."""
    trip_permille: int = 100
    """How much of a ride's own time counts: where drivers are short, short rides set them free sooner."""
    rematch_interval_ms: int = 4_000
    """How often rides before their pickup are matched anew."""
    rematch_left_ms_min: int = 45_000
    """A ride whose driver is nearer than this keeps the driver."""
    swap_price_ms: int = 20_000
    """What a change of drivers must gain…"""
    swap_price_growth_permille: int = 500
    """…and by how much more after each earlier change."""
    ahead_ms: int = 30_000
    """Drivers who should be at their drop-off within this are worth waiting for…"""
    ahead_price_ms: int = 20_000
    """…if they are nearer by this: riders must get out, and nothing is certain."""
    ahead_late_ms_max: int = 60_000
    """Whoever should have been there so long ago is not waited for."""
    reposition_interval_ms: int = 30_000
    reposition_horizon_ms: int = 600_000
    """Who becomes free within this counts as there already."""
    reposition_drive_ms_max: int = 1_300_000
    reposition_drives_max: int = 300
    """In one go: what a large fleet still lacks comes with the next one. Bounds the time that it takes."""
    reposition_slack_ms: int = 60_000
    """So long after a repositioned driver should have arrived, the drive counts as over."""
