# SPDX-License-Identifier: Apache-2.0
"""docs/operations.md says what the code does: settings, topics, and how large a demo's folder becomes."""

import re
from pathlib import Path

import pytest

from taxi.runtime.settings import KNOWN, Settings, defaults
from taxi.topics import specs
from taxistream.cli.settings_table import settings
from taxistream.local import disk

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
SERVICES = ("simulator", "dispatcher", "gateway", "verifier")
NONE = "–"


def rows() -> dict[str, list[str]]:
    """The first cell of each table row, without backticks → the other cells."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.splitlines()
        if line.startswith("|")
    ]
    return {first.strip("`"): rest for first, *rest in cells}


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_is_in_the_table_with_its_default(service: str) -> None:
    table = rows()
    wanted = {setting.variable: setting.default or NONE for setting in settings(service)}
    assert {name: table[name][0].strip("`") for name in wanted if name in table} == wanted


def test_the_table_names_no_setting_that_does_not_exist() -> None:
    known = KNOWN | defaults(Settings).keys()
    assert {name for name in rows() if re.fullmatch(r"(TAXI|KAFKA)_[A-Z_]+", name)} - known == set()


def test_every_setting_of_a_service_is_known_to_all() -> None:
    own = {setting.variable for service in SERVICES for setting in settings(service)}
    assert own - KNOWN - defaults(Settings).keys() == set()


def test_the_topics_are_as_the_table_says() -> None:
    table = {name: cells for name, cells in rows().items() if len(cells) == 5}
    for spec in specs():
        _key, cleanup, _kept, _bounded, others = table[spec.name]
        assert cleanup == spec.config["cleanup.policy"]
        documented = dict(re.findall(r"`([a-z.]+)=(\w[\w.]*)`", others))
        assert documented == {
            k: v for k, v in spec.config.items() if k not in {"cleanup.policy", "retention.ms"}
        }
    for spec in specs(bounded=True):
        if bytes_max := spec.config.get("retention.bytes"):
            assert table[spec.name][3] == f"{int(bytes_max) >> 20} MiB"


def test_retention_is_as_the_table_says() -> None:
    table = {name: cells for name, cells in rows().items() if len(cells) == 5}
    written = {"3600000": "1 h", "604800000": "7 d"}
    for spec in specs():
        if kept := spec.config.get("retention.ms"):
            assert table[spec.name][2] == written[kept]


def test_the_bound_on_disk_is_the_sum_that_the_page_shows() -> None:
    section = PAGE.split("### How large")[1].split("\n## ")[0]
    figures = {
        line.split("|")[1].strip(" `"): int(line.split("|")[-2])
        for line in section.splitlines()
        if re.search(r"\| \d+ \|$", line)
    }
    together = figures.pop("together")
    assert sum(figures.values()) == together
    assert disk.bound_mb() == together * (1 << 20) // 1_000_000
    assert f"**{disk.bound_mb() / 1000:.1f} GB**" in section
    assert f"with three brokers **{disk.bound_mb(3) / 1000:.1f} GB**" in section
