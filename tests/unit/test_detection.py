# SPDX-License-Identifier: Apache-2.0
"""What follows from a measured detection rate: how many worlds a test looks at; when a rate fell."""

import pytest

from testing.simulation import detection
from testing.simulation.detection import Detection, dump, load
from testing.simulation.nemesis import Nemesis
from testing.simulation.planted import BUGS
from testing.simulation.search import BEHAVIORS, KINDS, Search
from testing.simulation.world import World


def rate(found: int, seeds: int) -> Detection:
    return Detection(Search(), found, seeds, cpu_s=0.5)


def test_every_planted_bug_has_a_search() -> None:
    assert set(load()) == set(BUGS)


def test_every_search_asks_for_what_worlds_can_do() -> None:
    for bug, row in load().items():
        assert row.search.kind in KINDS, bug
        assert set(row.search.clients) <= set(BEHAVIORS), bug
        assert all(callable(getattr(Nemesis, fault, None)) for fault in row.search.faults), bug


def test_a_search_for_a_fault_that_does_not_exist_is_refused() -> None:
    world = World(1, Search(faults=("kil",)))
    with pytest.raises(ValueError, match="kil"):
        Nemesis(world)
    world.shut_down()


def test_no_search_finds_its_bug_so_rarely_that_a_test_would_take_long() -> None:
    for bug, row in load().items():
        assert row.rate >= 0.15, bug
        assert row.seeds_max <= 250, bug


def test_the_table_reads_as_it_was_written(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    written = load()
    path = detection.PATH.__class__(str(tmp_path)) / "detection.toml"
    path.write_text(dump(written), encoding="utf-8")
    monkeypatch.setattr(detection, "PATH", path)
    load.cache_clear()
    assert load() == written
    load.cache_clear()


@pytest.mark.parametrize(("found", "seeds"), [(40, 40), (20, 40), (8, 40), (1, 40)])
def test_a_bug_of_the_lowest_likely_rate_is_hardly_ever_missed(found: int, seeds: int) -> None:
    row = rate(found, seeds)
    assert row.rate_min < row.rate
    assert (1 - row.rate_min) ** row.seeds_max <= 1e-4 < (1 - row.rate_min) ** (row.seeds_max - 1)


def test_a_bug_that_was_never_found_has_no_limit() -> None:
    with pytest.raises(ValueError, match="never found"):
        _ = rate(0, 40).seeds_max


@pytest.mark.parametrize(
    ("found", "seeds", "has_fallen"),
    [(9, 40, True), (10, 40, False), (2, 10, False), (0, 10, True), (0, 5, False), (40, 40, False)],
)
def test_a_rate_has_fallen_below_half_only_where_that_is_not_luck(
    found: int, seeds: int, has_fallen: bool
) -> None:
    assert rate(20, 40).has_fallen(found, seeds) is has_fallen
