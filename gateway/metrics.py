# SPDX-License-Identifier: Apache-2.0
"""What a gateway counts: name → help text."""

from typing import Final

METRICS: Final = {
    "gateway_clients": "Clients that get cuts just now",
    "gateway_drivers": "Driver rows of the last cut",
    "gateway_cuts_total": "Cuts closed",
    "gateway_frames_total": "Frames handed to sockets",
    "gateway_bytes_total": "Bytes of frames handed to sockets",
    "gateway_skipped_total": "Frames not sent, because the client has not read the one before",
    "gateway_sessions_total": "Sessions begun, by how: image, resume, or the reason of a reset",
    "gateway_closed_total": "Sessions that the gateway closed, by code",
    "gateway_undecodable_total": "Records that are no message of their topic, by topic",
    "gateway_dropped_events_total": "Events of batches that never closed",
    "gateway_rebuilds_total": "Times the view was built anew while running",
    "gateway_ride_requests_total": "Ride requests and cancellations over HTTP, by outcome",
}
