# SPDX-License-Identifier: Apache-2.0
"""The metrics of a gateway: name → help text."""

from typing import Final

METRICS: Final = {
    "gateway_clients": "Open connections",
    "gateway_drivers": "Driver rows of the last cut",
    "gateway_speed": "How many times as fast as the clock the city lives, as the log says at the last cut",
    "gateway_cuts_total": "Cuts closed",
    "gateway_lag_seconds": "Difference between the clock and the log time of the last cut",
    "gateway_frames_total": "Updates handed to sockets",
    "gateway_bytes_total": "Bytes of updates handed to sockets",
    "gateway_encode_seconds": "Time to encode an update, by kind: step, diff, view, image, beat",
    "gateway_frame_bytes": "Size of an update before compression, by kind",
    "gateway_write_seconds": "Time to write an update to all clients in sync",
    "gateway_skipped_total": "Updates not sent, because the client has not read the one before",
    "gateway_backlog_bytes": "Bytes that slow clients have not read yet",
    "gateway_sessions_total": "Sessions begun, by how: image, resume, or the reason of a reset",
    "gateway_resets_total": "Resets, by reason",
    "gateway_mismatches_total": "Clients that reported a hash of their rows other than the gateway's",
    "gateway_closed_total": "Sessions that the gateway closed, by code",
    "gateway_refused_total": "HTTP requests refused, by status",
    "gateway_accept_failures_total": "Connections refused or aborted without an answer, by reason: "
    "descriptors, idle, address, rate, silent, system, unread",
    "gateway_undecodable_total": "Records that are not a message of their topic, by topic",
    "gateway_dropped_positions_total": "Positions that were dropped, by reason",
    "gateway_passed_over_total": "Events of other producers than the city's dispatcher",
    "gateway_dropped_events_total": "Events of batches that never closed",
    "gateway_rebuilds_total": "Times the city view was rebuilt while running",
    "gateway_boot_state": "1 for the present state of the city view's boot, by state: booting, behind_gap, "
    "incomplete, awaiting_log, shallow, complete, broken",
    "gateway_ride_requests_total": "Ride requests and cancellations over HTTP, by outcome",
}
