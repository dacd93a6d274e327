# SPDX-License-Identifier: Apache-2.0
"""The table of a gateway's boot, as transcripts: an event in plain words, and the state that follows."""

import itertools

import pytest

from gateway.follower.boot_state import (
    FOLLOWING,
    SERVING,
    TRANSITIONS,
    BootEvent,
    BootMachine,
    BootState,
    IllegalBootTransitionError,
)

TRANSCRIPTS = {
    "an ordinary boot": """
        the log is read -> incomplete
        all rows are known -> shallow
        the deeper view has taken over -> complete
    """,
    "a boot of a log that is read from its beginning": """
        the log is read -> incomplete
        all rows are known -> shallow
        there is no deeper view -> complete
    """,
    "an empty log": """
        the log is read -> incomplete
        there is no deeper view -> awaiting_log
        all rows are known -> complete
    """,
    "a gap without a snapshot": """
        the events have a gap -> behind_gap
        the events have a gap -> behind_gap
        the wait behind the gap is over -> booting
        the log could not be read -> booting
        the log is read -> incomplete
    """,
    "a view whose rows only the deeper view knows": """
        the log is read -> incomplete
        the deeper view has taken over -> complete
    """,
    "a log too young also for the deeper view": """
        the log is read -> incomplete
        the deeper view has taken over, and some of its rows are not known -> awaiting_log
        all rows are known -> complete
    """,
    "a view that broke and is rebuilt": """
        the log is read -> incomplete
        all rows are known -> shallow
        the log broke -> broken
        there is no deeper view -> broken
        the log is read again -> booting
        the log is read -> incomplete
        all rows are known -> shallow
        the deeper view has taken over -> complete
        the log broke -> broken
    """,
    "views that break while rows are missing": """
        the log is read -> incomplete
        the log broke -> broken
        the log is read again -> booting
        the log is read -> incomplete
        there is no deeper view -> awaiting_log
        the log broke -> broken
    """,
    "a deeper view that knows less, because times of positions were wrong": """
        the log is read -> incomplete
        all rows are known -> shallow
        the deeper view has taken over, and some of its rows are not known -> awaiting_log
        all rows are known -> complete
    """,
    "a broker that does not answer at first": """
        the log could not be read -> booting
        the log could not be read -> booting
        the log is read -> incomplete
    """,
}


def steps(transcript: str) -> list[tuple[BootEvent, str]]:
    lines = [line.strip().split(" -> ") for line in transcript.strip().splitlines()]
    return [(BootEvent(event), state) for event, state in lines]


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_the_state_follows_the_events(name: str) -> None:
    changes: list[tuple[BootState, BootEvent, BootState]] = []
    machine = BootMachine(lambda *change: changes.append(change))
    before, expected = machine.state, []
    for event, state in steps(TRANSCRIPTS[name]):
        machine.on(event)
        assert machine.state.value == state, event.value
        if machine.state is not before:
            expected.append((before, event, machine.state))
        before = machine.state
    assert changes == expected


def test_every_transition_of_the_table_is_in_a_transcript() -> None:
    seen = set()
    for transcript in TRANSCRIPTS.values():
        before = BootState.BOOTING
        for event, state in steps(transcript):
            seen.add((before, event))
            before = BootState(state)
    assert seen == set(TRANSITIONS)


@pytest.mark.parametrize(("state", "event"), [*itertools.product(BootState, BootEvent)])
def test_an_event_that_is_not_in_the_table_is_refused_and_changes_nothing(
    state: BootState, event: BootEvent
) -> None:
    machine = at(state)
    if (state, event) in TRANSITIONS:
        machine.on(event)
        assert machine.state is TRANSITIONS[state, event]
        return
    with pytest.raises(IllegalBootTransitionError, match=f"{event.name} .* {state.name}"):
        machine.on(event)
    assert machine.state is state


def at(state: BootState) -> BootMachine:
    """A machine in this state, led there by the fewest events."""
    paths: dict[BootState, list[BootEvent]] = {BootState.BOOTING: []}
    while state not in paths:
        for (before, event), after in TRANSITIONS.items():
            if before in paths:
                paths.setdefault(after, [*paths[before], event])
    machine = BootMachine(lambda *_: None)
    for event in paths[state]:
        machine.on(event)
    return machine


def test_a_view_is_served_only_while_it_follows_the_log() -> None:
    assert SERVING < FOLLOWING
    assert {state for state in BootState if state not in FOLLOWING} == {
        BootState.BOOTING,
        BootState.BEHIND_GAP,
        BootState.BROKEN,
    }
