# SPDX-License-Identifier: Apache-2.0
"""Time limits of the Kafka bus."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KafkaLimits:
    """Time limits of connections, requests, retries and group sessions."""

    give_up_s: float = 10.0
    """Retries of one call end after this time, with Unavailable or Unknown."""
    connect_s: float = 3.0
    """To open a connection, including TLS and SASL."""
    answer_s: float = 3.0
    """For an answer, in addition to the time that the broker was asked to wait. After it the connection is
    closed, and the next attempt opens another. It is shorter than any caller's own limit, so a dead
    connection costs one attempt and the caller still gets its answer."""
    request_ms: int = 8_000
    """The same for requests that a broker may hold: to join a group, to end a transaction."""
    end_transaction_s: float = 5.0
    """To commit. Less than `request_ms`, so the caller stops waiting before the request times out."""
    unreadable_s: float = 2.0
    """A broker that returns an error or nothing for an offset may recover. The fetch is repeated for this
    time; then the damaged offsets are skipped."""
    close_s: float = 1.0
    """To close connections; then they are aborted."""
    transaction_ms: int = 10_000
    """The broker aborts a transaction that stays open for longer."""
    metadata_ms: int = 5_000
    """The maximum age of a group member's metadata, after which it learns of a new topic."""
    session_ms: int = 4_000
    """The session timeout of a group member: its partitions are reassigned so long after its last
    heartbeat."""
    session_ms_min: int = 6_000
    """Used if the cluster refuses `session_ms`. It is Kafka's default for group.min.session.timeout.ms."""
    heartbeat_ms: int = 300
    """The interval of heartbeats to the group's coordinator. A member learns of a rebalance only from the
    answer to one, so a standby takes over at most so long after the group has lost a member."""
