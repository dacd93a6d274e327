# SPDX-License-Identifier: Apache-2.0
"""Bugs planted into the real services, one at a time: the simulation must find each.

Each is a mistake that somebody could make, as small as they come. A checker that finds none of them
proves nothing by finding nothing in the real code.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from testing.simulation.planted_bus import (
    a_reader_dies_of_what_it_cannot_parse,
    connections_are_kept,
    damaged_records_get_no_letter,
)
from testing.simulation.planted_dispatcher import (
    a_change_of_speed_counts_back,
    a_clock_set_back_not_noticed,
    a_command_skipped_at_recovery,
    a_gap_in_the_fixes_not_recorded,
    a_large_batch_blocks_the_heartbeat,
    a_recreated_topic_not_noticed,
    a_wrong_clock_is_believed,
    a_zombie_confirms_nothing,
    age_lost,
    ban_forgotten,
    commands_in_set_order,
    commit_sent_again,
    far_away_is_near,
    half_a_chain,
    ids_forgotten,
    limits_overtake_commands,
    one_command_moves_log_time,
    one_position_moves_log_time,
    people_wait_by_the_clock,
    producer_rebuilt_on_the_spot,
    put_off_for_good,
    recovery_before_fencing,
    recovery_from_a_prefix,
    refused_at_any_time,
    transactional_id_of_the_instance,
    unknown_is_failure,
    unknown_is_success,
    wall_clock_decides,
)
from testing.simulation.planted_gateway import (
    a_gateway_shifts_no_times,
    a_view_without_its_name,
    cursor_is_the_position,
    dropped_positions_are_not_counted,
    everyone_leaves_at_once,
    ghosts,
    half_a_batch_applied,
    hops_are_lost,
    mismatches_only_counted,
    removed_rows_are_not_sent,
    rows_leave_the_tile_they_enter,
    the_first_wish_holds,
    the_last_fix_wins,
    the_late_stay_in_sync,
    the_missed_leave_in_a_crowd,
    the_speed_of_the_start,
    tokens_read_once,
    what_falls_outside_stays,
    yesterdays_fixes_count,
)
from testing.simulation.planted_log import (
    a_gap_is_passed_over,
    a_new_producer_id_is_not_announced,
    every_producer_counts,
    foreign_events_get_no_letter,
)
from testing.simulation.planted_matching import (
    the_late_are_waited_for,
    the_passed_over_are_forgotten,
    the_soon_free_come_first,
    who_drives_ahead_is_busy,
)

Plant = Callable[[], AbstractContextManager[object]]

BUGS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        every_producer_counts,
        a_gap_is_passed_over,
        foreign_events_get_no_letter,
        a_new_producer_id_is_not_announced,
        unknown_is_success,
        unknown_is_failure,
        commit_sent_again,
        transactional_id_of_the_instance,
        producer_rebuilt_on_the_spot,
        ids_forgotten,
        a_command_skipped_at_recovery,
        recovery_before_fencing,
        recovery_from_a_prefix,
        a_zombie_confirms_nothing,
        a_gap_in_the_fixes_not_recorded,
        a_recreated_topic_not_noticed,
        a_wrong_clock_is_believed,
        a_clock_set_back_not_noticed,
        one_command_moves_log_time,
        one_position_moves_log_time,
        a_gateway_shifts_no_times,
        wall_clock_decides,
        commands_in_set_order,
        half_a_chain,
        ban_forgotten,
        age_lost,
        refused_at_any_time,
        people_wait_by_the_clock,
        a_change_of_speed_counts_back,
        a_large_batch_blocks_the_heartbeat,
        put_off_for_good,
        far_away_is_near,
        limits_overtake_commands,
        the_late_are_waited_for,
        the_soon_free_come_first,
        the_passed_over_are_forgotten,
        who_drives_ahead_is_busy,
        a_reader_dies_of_what_it_cannot_parse,
        damaged_records_get_no_letter,
        connections_are_kept,
        half_a_batch_applied,
        cursor_is_the_position,
        ghosts,
        rows_leave_the_tile_they_enter,
        hops_are_lost,
        dropped_positions_are_not_counted,
        yesterdays_fixes_count,
        the_last_fix_wins,
        removed_rows_are_not_sent,
        what_falls_outside_stays,
        the_first_wish_holds,
        a_view_without_its_name,
        mismatches_only_counted,
        the_late_stay_in_sync,
        tokens_read_once,
        everyone_leaves_at_once,
        the_missed_leave_in_a_crowd,
        the_speed_of_the_start,
    )
}
