# SPDX-License-Identifier: Apache-2.0
"""Both clients follow the same rules: what each event leads to in each state is one golden file."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from scripts import golden_link
from taxi.client.link import Effect, Link, LinkEvent, Refusal, step
from taxi.client.protocol import SERVING, TRANSITIONS, EffectType, EventType, LinkState

CASES: Final[list[dict[str, Any]]] = json.loads(golden_link.PATH.read_text("utf-8"))
COUNTS: Final = {
    **dict.fromkeys(LinkState, 0),
    **dict.fromkeys({LinkState.CONNECTING, LinkState.GREETING, *SERVING}, 1),
    LinkState.HANDOVER_CONNECTING: 2,
    LinkState.HANDOVER_GREETING: 2,
}
"""Connections in each state."""


def test_the_rules_lead_where_the_golden_file_says() -> None:
    assert golden_link.text() == golden_link.PATH.read_text("utf-8")


def test_the_golden_file_has_every_transition_of_the_table() -> None:
    seen = {
        (case["before"]["state"], case["event"]["type"]) for case in CASES if not golden_link.is_void(case)
    }
    wanted = {(state.value, event.value) for state, row in TRANSITIONS.items() for event in row}
    assert wanted <= seen


def test_there_are_as_many_connections_as_the_state_says() -> None:
    """A connection that was closed from the other side is gone by itself."""
    for case in CASES:
        before, after = (LinkState(case[key]["state"]) for key in ("before", "after"))
        effects, event = case["effects"], EventType(case["event"]["type"])
        if not effects and before is after:
            continue
        present, other = min(COUNTS[before], 1), max(COUNTS[before] - 1, 0)
        present = 0 if event is EventType.CLOSED else present
        other = 0 if event is EventType.NEXT_CLOSED else other
        for effect in map(EffectType, effects):
            present += effect is EffectType.OPEN
            other += effect is EffectType.OPEN_NEXT
            if effect is EffectType.CLOSE:
                present = other = 0
            elif effect is EffectType.CLOSE_NEXT:
                other = 0
            elif effect is EffectType.ADOPT_NEXT:
                present, other = other, 0
        assert present + other == COUNTS[after], case


def test_a_state_without_a_connection_waits_for_something_or_is_an_end() -> None:
    for case in CASES:
        if case["after"]["state"] == "waiting" != case["before"]["state"]:
            assert "retry" in case["effects"], case
        if case["after"]["state"] == "asking" != case["before"]["state"]:
            assert "ask" in case["effects"], case


@pytest.mark.parametrize("state", [LinkState.REFUSED, LinkState.STOPPED])
def test_an_end_is_an_end(state: LinkState) -> None:
    for event in EventType:
        if event is not EventType.STOP:
            assert step(Link(state), LinkEvent(event), 0.5) == (Link(state), ())


def test_a_refused_token_is_not_asked_for_twice() -> None:
    link, effects = step(Link(LinkState.LIVE), LinkEvent(EventType.CLOSED, code=4401, reason="expired"), 0.5)
    assert (link.state, link.refusal) == (LinkState.ASKING, Refusal(4401, "expired"))
    assert effects == (Effect(EffectType.CLOSE), Effect(EffectType.ASK))
    link, _ = step(link, LinkEvent(EventType.TOKEN, is_new=True), 0.5)
    assert link.state is LinkState.WAITING
    for event in (
        LinkEvent(EventType.RETRY),
        LinkEvent(EventType.OPENED),
        LinkEvent(EventType.CLOSED, code=4401),
    ):
        link, _ = step(link, event, 0.5)
    assert link.state is LinkState.REFUSED


def test_a_token_that_cannot_be_had_during_a_handover_is_asked_for_again() -> None:
    link = Link(LinkState.HANDOVER_CONNECTING)
    link, _ = step(link, LinkEvent(EventType.NEXT_CLOSED, code=4401), 0.5)
    link, effects = step(link, LinkEvent(EventType.NO_TOKEN), 0.5)
    assert (link.state, effects) == (LinkState.HANDOVER_WAITING, (Effect(EffectType.RETRY, 150.0),))
    _, effects = step(link, LinkEvent(EventType.RETRY), 0.5)
    assert effects == (Effect(EffectType.ASK),)


def test_the_golden_file_is_in_the_tests() -> None:
    assert Path("tests/golden/link.json") == golden_link.PATH.relative_to(golden_link.ROOT)
