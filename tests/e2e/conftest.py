# SPDX-License-Identifier: Apache-2.0
"""The real thing: `taxi demo` with real Kafka, and a real Chromium."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from scripts.ensure_browser import find_browser
from taxi.runtime.machine_errors import LocalError
from taxistream.local.java import find as find_java
from taxistream.local.ports import PortPool
from testing.live_demo import LiveDemo, live_demo

# The browser ends with its module: Playwright holds the thread's event loop while it is open.
SOFTWARE_GL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox")
AT_HOME = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def missing(what: str) -> None:
    """A real part is not there: skip, loudly; in CI that is a failure."""
    reason = f"{what}: the running city is NOT tested"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium that speaks to this machine only."""
    executable = find_browser()
    if executable is None:
        missing("no Chromium or Chrome")
    with sync_playwright() as playwright:
        options = [*SOFTWARE_GL, *AT_HOME]
        chromium = playwright.chromium.launch(executable_path=executable, args=options)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def memory_demo(tmp_path_factory: pytest.TempPathFactory, ports: PortPool) -> Iterator[LiveDemo]:
    """A city in one process, for tests of the page alone: no Java is needed."""
    home = tmp_path_factory.mktemp("memory") / "data"
    with live_demo(home, ports.take(), "--bus", "memory", "--drivers", "600") as running:
        yield running


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory, ports: PortPool) -> Iterator[LiveDemo]:
    """A small city with two gateways and little demand, so that a ride is picked up soon."""
    try:
        find_java()
    except LocalError:
        missing("no Java")
    home = tmp_path_factory.mktemp("city") / "data"
    options = ("--drivers", "600", "--gateways", "2", "--load", "0.2")
    with live_demo(home, ports.take(), *options) as running:
        yield running
