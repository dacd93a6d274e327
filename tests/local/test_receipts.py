# SPDX-License-Identifier: Apache-2.0
"""The receipts of docs/add-a-service.md, on a real Kafka and a real mail server, killed in the middle."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from taxi import messages as m
from taxi.bus import Outgoing, Write
from taxi.bus.kafka.admin import KafkaAdmin
from taxi.bus.kafka.bus import KafkaBus
from taxi.messages import codec
from taxi.runtime.settings import Settings
from taxi.topics import EVENTS, specs
from taxistream.local.ports import PortPool
from testing.kafka_server import KafkaServer
from testing.real_city import wait_for
from tests.local.conftest import NEEDS_KAFKA

pytestmark = [*NEEDS_KAFKA, pytest.mark.slow]

RECEIPTS = Path(__file__).parents[2] / "examples" / "receipts.py"
LINES_MAX = 80
TRIPS = [f"ride-{number}" for number in range(12)]


class Mailbox:
    """Takes every mail; kills the sender at some, before it learns that they were taken."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, str]] = []
        """(Message-ID, text) as they came."""
        self.kills_at = {2, 7}
        self.sender: subprocess.Popen[bytes] | None = None

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        mail = message_from_bytes(envelope.content)
        self.mails.append((mail["Message-ID"], str(mail.get_payload())))
        if len(self.mails) in self.kills_at and self.sender is not None:
            self.sender.kill()
        return "250 taken"

    @property
    def rides(self) -> set[str]:
        return {message_id.split(".")[1] for message_id, _ in self.mails}


@pytest.fixture
def mailbox(ports: PortPool) -> Iterator[tuple[Mailbox, int]]:
    box, port = Mailbox(), ports.take()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


async def complete(settings: Settings, rides: list[str]) -> None:
    """As the dispatcher does: a batch is a transaction."""
    async with KafkaAdmin.connect(settings) as admin:
        await admin.ensure_topics(specs())
    bus = await KafkaBus.connect(settings, client_id="test")
    producer = await bus.transactional_producer("receipts-test")
    for batch, ride in enumerate(rides, 1):
        at: dict[str, Any] = {"batch": batch, "at_ms": 1_750_000_000_000 + batch}
        events = [
            m.TripCompleted(**at, ride=ride, driver=7, attempt=1, trip_s=600, trip_m=3_000, fare_cents=1_450),
            m.BatchClosed(**at, count=2, commands_offset=batch, locations_offset=batch),
        ]
        await producer.transact([Write(EVENTS, 0, Outgoing(None, codec.encode(event))) for event in events])
    await bus.close()


def test_receipts_are_a_file_of_at_most_eighty_lines() -> None:
    assert len(RECEIPTS.read_text().splitlines()) <= LINES_MAX


def test_no_receipt_is_missing_after_kill_9_and_a_repeat_is_the_same_mail(
    kafka_server: KafkaServer, mailbox: tuple[Mailbox, int], tmp_path: Path
) -> None:
    box, port = mailbox
    settings = Settings(
        kafka_bootstrap_servers=kafka_server.bootstrap_servers, prefix=f"r{uuid.uuid4().hex[:8]}."
    )
    asyncio.run(complete(settings, TRIPS))
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("KAFKA_", "TAXI_"))},
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "TAXI_PREFIX": settings.prefix,
        "SMTP_AT": f"127.0.0.1:{port}",
    }

    def started() -> "subprocess.Popen[bytes]":
        with (tmp_path / "receipts.log").open("ab") as out:
            return subprocess.Popen([sys.executable, RECEIPTS], env=environ, stdout=out, stderr=out)

    def arrived(count: int) -> bool:
        """Whether so many rides have their receipt; what was killed is started again meanwhile."""
        assert box.sender is not None
        if box.sender.poll() is not None:
            box.sender = started()
        return len(box.rides) >= count

    box.sender = started()
    try:
        wait_for(lambda: arrived(4), 90, "the first receipts")
        kafka_server.kill()
        kafka_server.start()
        wait_for(lambda: arrived(len(TRIPS)), 120, "every receipt")
    finally:
        box.sender.kill()
        box.sender.wait()
    assert box.rides == set(TRIPS)
    repeats = len(box.mails) - len(TRIPS)
    assert repeats >= 1, "it was killed after the server had taken a mail, so that one came again"
    assert len(set(box.mails)) == len(TRIPS), "a repeat is the same mail under the same Message-ID"
