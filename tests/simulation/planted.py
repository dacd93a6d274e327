# SPDX-License-Identifier: Apache-2.0
"""Bugs planted into the real services, one at a time: the simulation must find each.

Each is a mistake that somebody could make, as small as they come. A checker that finds none of them
proves nothing by finding nothing in the real code.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.simulation.planted_dispatcher import (
    a_command_skipped_at_recovery,
    a_gap_in_the_fixes_not_told,
    a_topic_made_anew_not_noticed,
    a_zombie_asks_nobody,
    age_lost,
    ban_forgotten,
    commands_in_set_order,
    commit_sent_again,
    half_a_chain,
    ids_forgotten,
    producer_rebuilt_on_the_spot,
    recovery_before_fencing,
    refused_at_any_time,
    transactional_id_of_the_instance,
    unknown_is_failure,
    unknown_is_success,
    wall_clock_decides,
)
from tests.simulation.planted_gateway import (
    a_view_without_its_name,
    cursor_is_the_position,
    everyone_leaves_at_once,
    ghosts,
    half_a_batch_applied,
    hops_are_lost,
    mismatches_only_counted,
    rows_leave_the_tile_they_enter,
    the_first_wish_holds,
    the_gone_are_not_told,
    the_last_fix_wins,
    the_late_stay_abreast,
    the_missed_leave_in_a_crowd,
    tokens_read_once,
    what_falls_outside_stays,
    yesterdays_fixes_count,
)
from tests.simulation.planted_matching import (
    the_late_are_waited_for,
    the_passed_over_are_forgotten,
    the_soon_free_come_first,
    who_drives_ahead_is_busy,
)

Plant = Callable[[], AbstractContextManager[object]]

BUGS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        unknown_is_success,
        unknown_is_failure,
        commit_sent_again,
        transactional_id_of_the_instance,
        producer_rebuilt_on_the_spot,
        ids_forgotten,
        a_command_skipped_at_recovery,
        recovery_before_fencing,
        a_zombie_asks_nobody,
        a_gap_in_the_fixes_not_told,
        a_topic_made_anew_not_noticed,
        wall_clock_decides,
        commands_in_set_order,
        half_a_chain,
        ban_forgotten,
        age_lost,
        refused_at_any_time,
        the_late_are_waited_for,
        the_soon_free_come_first,
        the_passed_over_are_forgotten,
        who_drives_ahead_is_busy,
        half_a_batch_applied,
        cursor_is_the_position,
        ghosts,
        rows_leave_the_tile_they_enter,
        hops_are_lost,
        yesterdays_fixes_count,
        the_last_fix_wins,
        the_gone_are_not_told,
        what_falls_outside_stays,
        the_first_wish_holds,
        a_view_without_its_name,
        mismatches_only_counted,
        the_late_stay_abreast,
        tokens_read_once,
        everyone_leaves_at_once,
        the_missed_leave_in_a_crowd,
    )
}
