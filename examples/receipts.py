# SPDX-License-Identifier: Apache-2.0
"""`python examples/receipts.py` mails a receipt for each completed trip. docs/add-a-service.md builds it."""

import asyncio
import os
import smtplib
from contextlib import suppress
from email.message import EmailMessage

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from taxi.bus import Record
from taxi.bus.kafka.security import security
from taxi.messages import TripCompleted, codec
from taxi.runtime.settings import Settings, read_or_exit
from taxi.topics import EVENTS

SMTP_AT = os.environ.get("SMTP_AT") or "127.0.0.1:25"
DOMAIN = os.environ.get("SMTP_DOMAIN") or "riders.example"


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


def deliver(mail: EmailMessage) -> bool:
    """Whether that's done: the mail server has taken it, or never will. If not, says why."""
    try:
        with smtplib.SMTP(SMTP_AT, timeout=10) as server:
            return not server.send_message(mail)  # it returns the refused recipients
    except OSError as error:  # whatever smtplib raises is one
        print(f"{mail['Message-ID']}: {error!r}", flush=True)
        match error:  # a 5xx about this address or text is for good, a 4xx is "later" (RFC 5321, 4.2.1)
            case smtplib.SMTPRecipientsRefused():
                return all(code >= 500 for code, _ in error.recipients.values())
            case smtplib.SMTPDataError():
                return error.smtp_code >= 500
        return False


async def main() -> None:
    """Mail first, then commit: killed between the two, it mails again, and loses nothing."""
    settings = read_or_exit(Settings, "receipts")
    async with AIOKafkaConsumer(
        settings.prefix + EVENTS,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        group_id=f"{settings.prefix}taxi.receipts",
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **security(settings),
    ) as consumer:
        async for record in consumer:
            if (trip := completed(record)) is not None:
                while not await asyncio.to_thread(deliver, receipt(trip)):  # noqa: ASYNC110 - no bell rings
                    await asyncio.sleep(1)
                with suppress(CommitFailedError, IllegalStateError):  # another has it, and mails again
                    await consumer.commit({TopicPartition(record.topic, record.partition): record.offset + 1})


if __name__ == "__main__":
    asyncio.run(main())
