# SPDX-License-Identifier: Apache-2.0
"""What a gateway counts: name → help text."""

from typing import Final

METRICS: Final = {
    "gateway_clients": "Open connections",
    "gateway_drivers": "Driver rows of the last cut",
    "gateway_cuts_total": "Cuts closed",
    "gateway_lag_seconds": "How far the last cut's time lies behind the clock",
    "gateway_frames_total": "Frames handed to sockets",
    "gateway_bytes_total": "Bytes of frames handed to sockets",
    "gateway_encode_seconds": "Time to encode a frame, by kind: step, diff, view, image, beat",
    "gateway_frame_bytes": "Size of a frame before compression, by kind",
    "gateway_write_seconds": "Time to hand a cut to all clients that stand abreast",
    "gateway_skipped_total": "Frames not sent, because the client has not read the one before",
    "gateway_backlog_bytes": "Bytes that slow clients have not taken yet",
    "gateway_sessions_total": "Sessions begun, by how: image, resume, or the reason of a reset",
    "gateway_resets_total": "Resets, by reason",
    "gateway_mismatches_total": "Clients whose rows hashed to something else than they were told",
    "gateway_closed_total": "Sessions that the gateway closed, by code",
    "gateway_refused_total": "HTTP requests refused, by status: 401, 403, 429",
    "gateway_undecodable_total": "Records that are no message of their topic, by topic",
    "gateway_dropped_events_total": "Events of batches that never closed",
    "gateway_rebuilds_total": "Times the view was built anew while running",
    "gateway_ride_requests_total": "Ride requests and cancellations over HTTP, by outcome",
}
