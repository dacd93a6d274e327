# SPDX-License-Identifier: Apache-2.0
"""What the receipts of docs/add-a-service.md do when a real mail server says no, for now or for good."""

import asyncio
import importlib.util
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiosmtpd.controller import Controller

from taxi import messages as m
from taxi.messages import codec
from taxi.topics import EVENTS
from taxistream.local.ports import PortPool

RECEIPTS = Path(__file__).parents[2] / "examples" / "receipts.py"
TRIP = m.TripCompleted(batch=1, at_ms=1_750_000_000_000, ride="r1", driver=7, attempt=1, trip_s=600)
TAKEN = "250 taken"


class Server:
    """Gives the set answers to the sender, the recipient and the text."""

    def __init__(self) -> None:
        self.to_sender = self.to_recipient = self.to_text = TAKEN
        self.taken = 0

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        envelope.mail_from = address
        return self.to_sender

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.to_recipient

    async def handle_DATA(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        self.taken += self.to_text == TAKEN
        return self.to_text


@pytest.fixture
def server(ports: PortPool) -> Iterator[tuple[Server, Any]]:
    """The server, and the example as a module that sends to it."""
    spec = importlib.util.spec_from_file_location("receipts", RECEIPTS)
    assert spec is not None
    assert spec.loader is not None
    receipts: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(receipts)
    says, port = Server(), ports.take()
    receipts.SMTP_AT = f"127.0.0.1:{port}"
    controller = Controller(says, hostname="127.0.0.1", port=port)
    controller.start()
    yield says, receipts
    controller.stop()


@pytest.mark.parametrize(
    ("part", "answer", "is_done"),
    [
        ("to_text", TAKEN, True),
        ("to_recipient", "450 come again later", False),
        ("to_recipient", "550 no such rider", True),
        ("to_text", "451 come again later", False),
        ("to_text", "554 not this text", True),
        ("to_sender", "550 not from you", False),
    ],
)
def test_a_mail_is_done_when_it_was_taken_or_refused_for_good(
    server: tuple[Server, Any], capsys: pytest.CaptureFixture[str], part: str, answer: str, is_done: bool
) -> None:
    says, receipts = server
    setattr(says, part, answer)
    assert receipts.deliver(receipts.receipt(TRIP)) is is_done
    printed = capsys.readouterr().out
    assert (answer in printed.replace(", b'", " ")) is (answer is not TAKEN), "what the server says is said"
    assert says.taken == (answer is TAKEN)


def test_a_mail_server_that_is_away_is_waited_for_and_that_is_said(
    server: tuple[Server, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    _, receipts = server
    with socket.socket() as closed_port:  # bound, and does not listen
        closed_port.bind(("127.0.0.1", 0))
        receipts.SMTP_AT = ":".join(map(str, closed_port.getsockname()))
        assert receipts.deliver(receipts.receipt(TRIP)) is False
    assert "ConnectionRefusedError" in capsys.readouterr().out


class LosesItsCity:
    """A consumer whose city goes to another copy while the mail is on its way, twice."""

    def __init__(self, how: KafkaError) -> None:
        self._how = how
        self.commits = 0

    def __call__(self, *_: Any, **__: Any) -> "LosesItsCity":
        return self

    async def __aenter__(self) -> "LosesItsCity":
        return self

    async def __aexit__(self, *_: Any) -> None:
        """There is nothing to let go of."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        value = codec.encode(TRIP)
        for offset in range(2):
            yield ConsumerRecord(EVENTS, 0, offset, 0, 0, None, value, None, 0, len(value), ())

    async def commit(self, _: Any) -> None:
        self.commits += 1
        raise self._how


@pytest.mark.parametrize("how", [CommitFailedError(), IllegalStateError("is not assigned")], ids=repr)
def test_who_loses_a_city_to_another_copy_meanwhile_goes_on(
    server: tuple[Server, Any], how: KafkaError
) -> None:
    says, receipts = server
    receipts.AIOKafkaConsumer = consumer = LosesItsCity(how)
    asyncio.run(receipts.main())
    assert (says.taken, consumer.commits) == (2, 2)
