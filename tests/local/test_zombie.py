# SPDX-License-Identifier: Apache-2.0
"""A dispatcher suspended past its session: it is fenced, logs it, joins again, and fences no other."""

import pytest

from testing.real_city import RealCity, RealPart, wait_for
from tests.local.conftest import NEEDS_KAFKA

pytestmark = [*NEEDS_KAFKA, pytest.mark.slow]

WITHIN_S = 60
OFTEN_MS = "150"
"""How often the owner commits: it notices a fence before the next assignment gives it another producer."""
TAKEN, LEFT = ("city recovered",), ("assigned", "standing by")


def decides(part: RealPart) -> bool:
    """Whether it has the city, as far as it has said."""
    changes = [line["event"] for line in part.lines() if line["event"] in {*TAKEN, *LEFT}]
    return bool(changes) and changes[-1] == "city recovered" and part.is_ready()


def test_one_that_sleeps_while_it_decides_is_fenced_says_so_and_joins_again(city: RealCity) -> None:
    one, two = city.start("one"), city.start("two")
    city.start("simulator", "simulator", TAXI_DRIVERS="50")
    settled = wait_for(
        lambda: [part for part in (one, two) if decides(part) and one.is_ready() and two.is_ready()],
        WITHIN_S,
        "one decides, the other is the standby",
    )
    owner = settled[0]
    heir = two if owner is one else one
    before = heir.said("city recovered")
    owner.stop()
    wait_for(lambda: heir.said("city recovered") > before, WITHIN_S, "the standby takes over")
    owner.wake()
    wait_for(lambda: owner.said("fenced"), WITHIN_S, "it says that it was fenced")
    assert owner.metric("dispatcher_fenced_total") >= 1
    wait_for(lambda: owner.is_ready() and heir.is_ready(), WITHIN_S, "both are ready again")
    assert heir.said("fenced") == 0, "the rightful owner was fenced in turn"
    assert city.audited().violations == {}
    assert city.replayed().exit_code == 0


def wakes_before_its_producer(
    city: RealCity, module: str, owners: str = "dispatcher"
) -> tuple[RealPart, RealPart]:
    """The zombie, and the owner that decides meanwhile."""
    zombie = city.start("zombie", module)
    wait_for(zombie.is_stopped, WITHIN_S, "it stops between assignment and producer")
    assert zombie.said("assigned") == 1
    owner = city.start("owner", owners, TAXI_BATCH_INTERVAL_MS=OFTEN_MS)
    city.start("simulator", "simulator", TAXI_DRIVERS="50")
    wait_for(lambda: decides(owner), WITHIN_S, "another has the city")
    zombie.wake()
    return zombie, owner


@pytest.mark.parametrize("moment", ["", "confirmed"], ids=["before it asked", "after it asked"])
def test_one_that_slept_before_its_producer_never_fences_the_owner(city: RealCity, moment: str) -> None:
    zombie, owner = wakes_before_its_producer(city, f"tests.zombie_dispatcher {moment}")
    wait_for(lambda: zombie.said("fenced"), WITHIN_S, "it says that its claim is no more")
    assert zombie.metric('dispatcher_fenced_total{by="group"}') >= 1
    assert zombie.metric('dispatcher_fenced_total{by="producer"}') == 0
    wait_for(lambda: zombie.is_ready() and owner.is_ready(), WITHIN_S, "both are ready again")
    assert owner.said("fenced") == 0, "the rightful owner was fenced in turn"
    assert city.audited().violations == {}


def test_one_that_believed_in_what_it_had_would_fence_the_owner(city: RealCity) -> None:
    """The bug, planted: so the test above can fail."""
    zombie = "tests.zombie_dispatcher"
    _, owner = wakes_before_its_producer(city, f"{zombie} believing", f"{zombie} unhurried")
    wait_for(lambda: owner.said("fenced"), WITHIN_S, "the owner is fenced by a zombie")
