# SPDX-License-Identifier: Apache-2.0
"""Lasting conditions: what is logged when, what /readyz and the metric say."""

import asyncio
from typing import Any

import pytest

from taxi.runtime.admin import Readiness
from taxi.runtime.faults import REMIND_S, Faults
from taxi.runtime.metrics import PrometheusMetrics
from testing.virtual_time import SimLoop
from tests.unit.test_runtime import ask


class Lines:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    warning = info


def made() -> tuple[Faults, Lines, PrometheusMetrics]:
    faults, lines, metrics = Faults(), Lines(), PrometheusMetrics({})
    faults.attach(lines, metrics)
    return faults, lines, metrics


def test_a_lasting_fault_is_logged_at_once_then_once_a_minute_and_when_it_ends() -> None:
    faults, lines, _ = made()

    async def main() -> None:
        for _ in range(130):
            faults.report("no_positions", "no position for 5 s")
            await asyncio.sleep(1)
        faults.clear("no_positions")
        faults.clear("no_positions")

    loop = SimLoop(1)
    loop.run_until_complete(main())
    loop.shut_down()
    assert REMIND_S == 60
    assert [event for event, _ in lines.lines] == ["fault", "fault", "fault", "fault cleared"]
    assert lines.lines[0][1] == {"code": "no_positions", "text": "no position for 5 s"}


@pytest.mark.anyio
async def test_a_fault_that_begins_to_block_is_logged_at_once() -> None:
    faults, lines, _ = made()
    faults.report("disk_full", "the disk is nearly full")
    faults.report("disk_full", "the disk is full", blocks=True)
    assert [fields["text"] for _, fields in lines.lines] == ["the disk is nearly full", "the disk is full"]


@pytest.mark.anyio
async def test_the_metric_is_1_while_anything_of_the_code_is_faulty() -> None:
    faults, _, metrics = made()
    faults.report("no_decisions", "a", about="manhattan")
    faults.report("no_decisions", "b", about="uptown")
    faults.clear("no_decisions", about="manhattan")
    assert 'taxi_fault{code="no_decisions"} 1.0' in metrics.text().decode()
    faults.clear("no_decisions", about="uptown")
    assert 'taxi_fault{code="no_decisions"} 0.0' in metrics.text().decode()


@pytest.mark.anyio
async def test_the_version_changes_only_with_the_faults() -> None:
    faults, _, _ = made()
    faults.report("a", "x")
    version = faults.version
    faults.report("a", "x")
    faults.clear("b")
    assert faults.version == version
    faults.report("a", "y")
    assert faults.version == version + 1


@pytest.mark.anyio
async def test_readyz_lists_faults_and_a_blocking_one_makes_it_503() -> None:
    readiness, metrics = Readiness(), PrometheusMetrics({})
    readiness.ready()
    readiness.faults.report("positions_ahead", "2.0 s in the future")
    answer = await ask(readiness, metrics, "/readyz")
    assert answer.status_code == 200
    assert answer.json()["faults"] == [{"code": "positions_ahead", "text": "2.0 s in the future"}]
    readiness.faults.report("events_held_back", "an open transaction", blocks=True)
    answer = await ask(readiness, metrics, "/readyz")
    assert (answer.status_code, answer.json()["reason"]) == (503, "an open transaction")
    readiness.faults.clear("events_held_back")
    assert (await ask(readiness, metrics, "/readyz")).status_code == 200
