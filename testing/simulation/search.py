# SPDX-License-Identifier: Apache-2.0
"""How worlds are directed at a bug: more of what any world may do, and less of what the bug does not need."""

from dataclasses import dataclass

FAULTS_S = 40.0
"""For so long faults are injected, in virtual seconds."""
PAUSE_S = 1.8
"""Mean time between faults."""
KINDS = ("whole", "city", "cities")
"""What a world is made of: the whole of one city; its dispatchers and its simulator alone; or the
dispatchers and simulators of two cities."""
DRAWN_ONCE = (
    "set_clocks",
    "close_the_lid",
    "change_speed",
    "remove_members",
    "another_city",
    "lose_events",
    "hold_scenarios",
)
"""Faults that a world has or has not from its birth on."""
ALL_THE_TIME = ("strangers", "strike_at_a_line")
"""Faults beside those that are drawn one after the other."""
BEHAVIORS = ("lid", "hop", "stall", "odd_cursor", "forget", "pan", "slip")
"""Chances of `Behavior` that a search may raise."""
RAISED = 10.0
"""So many times as often a client does what a search is for."""


@dataclass(frozen=True)
class Search:
    """A way to look for a bug. The default is what `make sim` runs: nothing is preferred."""

    kind: str = "whole"
    faults: tuple[str, ...] = ()
    """Names of faults that are drawn much more often: together as often as all others."""
    only: bool = False
    """Inject no other faults."""
    faults_s: float = FAULTS_S
    pause_s: float = PAUSE_S
    load: float | None = None
    """The demand, of the usual; None: one of `LOADS`, by the seed."""
    speeds: tuple[int, ...] = ()
    """How many times as fast as the clock people live, one of these by the seed. Empty: one of `SPEEDS`, and
    1 where a search injects no other faults."""
    clients: tuple[str, ...] = ()
    """What clients do more often: some of `BEHAVIORS`."""

    def allows(self, fault: str) -> bool:
        """Whether this fault may be injected."""
        return not self.only or fault in self.faults


EVERYTHING = Search()
