# SPDX-License-Identifier: Apache-2.0
"""`python examples/receipts.py` mails a receipt for each completed trip. docs/add-a-service.md builds it."""

import asyncio
import os
import smtplib
import time
from contextlib import suppress
from email.message import EmailMessage

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError

from taxi import codec
from taxi.bus import Record
from taxi.bus.kafka_link import security
from taxi.messages import TripCompleted
from taxi.runtime.settings import KNOWN, Settings
from taxi.topics import EVENTS

SMTP_AT = os.environ.get("SMTP_HOST", "127.0.0.1"), int(os.environ.get("SMTP_PORT", "25"))
DOMAIN = os.environ.get("SMTP_DOMAIN", "riders.example")


def completed(record: ConsumerRecord) -> TripCompleted | None:
    """The trip that a record says has ended; None for whatever else it is, readable or not."""
    try:
        event = codec.decode(EVENTS, Record(record.offset, record.timestamp, record.key, record.value))
    except codec.DecodeError:
        return None
    return event if isinstance(event, TripCompleted) else None


def receipt(trip: TripCompleted) -> EmailMessage:
    """The same trip always gives the same mail, its id too: a mailbox shows repeats as one."""
    mail = EmailMessage()
    mail["From"], mail["To"] = f"receipts@{DOMAIN}", f"{trip.ride}@{DOMAIN}"
    mail["Subject"] = f"Your trip {trip.ride}"
    mail["Message-ID"] = f"<receipt.{trip.ride}.{trip.at_ms}@{DOMAIN}>"
    fare = f"${trip.fare_cents // 100}.{trip.fare_cents % 100:02}"
    mail.set_content(f"Taxi {trip.driver} took you {trip.trip_m} m in {trip.trip_s} s: {fare}. Thank you.\n")
    return mail


def deliver(mail: EmailMessage) -> None:
    """Returns when the mail server has taken it, or has refused it for good; waits while it is away."""
    while True:
        try:
            with smtplib.SMTP(*SMTP_AT, timeout=10) as server:
                server.send_message(mail)
                return
        except smtplib.SMTPRecipientsRefused as error:
            print(f"{mail['Message-ID']} refused: {error}")
            return
        except (OSError, smtplib.SMTPException):
            time.sleep(1)


async def main() -> None:
    """Mail first, then commit: killed between the two, it mails again, and loses nothing."""
    settings = Settings.from_env(os.environ, also=KNOWN)
    consumer = AIOKafkaConsumer(
        settings.prefix + EVENTS,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        group_id=f"{settings.prefix}taxi.receipts",
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **security(settings),
    )
    async with consumer:
        async for record in consumer:
            if (trip := completed(record)) is not None:
                await asyncio.to_thread(deliver, receipt(trip))
                with suppress(CommitFailedError):  # the city is another member's now, who mails again
                    await consumer.commit({TopicPartition(record.topic, record.partition): record.offset + 1})


if __name__ == "__main__":
    asyncio.run(main())
