# SPDX-License-Identifier: Apache-2.0
"""Updates of all clients are compared: images of one cursor are equal, whichever gateway made them."""

from dataclasses import replace

import pytest

from taxi import messages as m
from taxistream.tools.loadtest.clients.observations import Observations
from taxistream.tools.loadtest.judge import ReceivedUpdate
from taxistream.tools.loadtest.rules import RuleFindings
from testing.gateway_log import EPOCH, SOMEWHERE, T0, Log, Oracle, booted
from testing.loadtest_observations import city_of, sections, sight, with_header, with_sections

COUNTS_BYTES, RIDE_BYTES = 8, 48
STALE = 2


@pytest.fixture(scope="module")
def log() -> Log:
    """Two rides that wait."""
    log = Log()
    log.batch(T0, [m.EpochStarted(batch=1, at_ms=T0, epoch=EPOCH, city="grid")], 0)
    asked: list[m.AnyEvent] = [
        m.RideRequested(batch=2, at_ms=T0, ride=name, rider="x", pickup=SOMEWHERE, dropoff=SOMEWHERE)
        for name in ("r1", "r2")
    ]
    log.batch(T0, asked, 0)
    return log


@pytest.fixture
def image(log: Log) -> ReceivedUpdate:
    return sight(booted(Oracle(log), 0, log.closed[-1][0]), None, 0, 0)


def judged(log: Log, *seen: ReceivedUpdate) -> dict[str, int]:
    """What is broken if clients get these images."""
    findings = RuleFindings()
    observations = Observations(city_of(log), findings)
    for one in seen:
        observations.saw((one.since, one.to, one.old, one.area, one.epoch), one.message, T0, late=False)
    observations.finish()
    return dict(findings.violations)


def test_the_same_image_twice_breaks_nothing_and_flags_may_differ(log: Log, image: ReceivedUpdate) -> None:
    stale = with_header(image.message, flags=image.message[1] | STALE)
    assert judged(log, image, image, replace(image, message=stale)) == {}


def test_an_image_with_the_right_rows_in_another_order_is_named(log: Log, image: ReceivedUpdate) -> None:
    drivers, rides, feed = sections(image.message)
    first, second = rides[COUNTS_BYTES:][:RIDE_BYTES], rides[COUNTS_BYTES:][RIDE_BYTES:]
    assert len(second) == RIDE_BYTES
    turned = with_sections(image.message, drivers, rides[:COUNTS_BYTES] + second + first, feed)
    assert judged(log, replace(image, message=turned)) == {}, "alone it breaks nothing"
    assert judged(log, image, replace(image, message=turned)) == {"images_differ": 1}
