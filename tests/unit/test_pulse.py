# SPDX-License-Identifier: Apache-2.0
"""When a process counts as frozen or stuck, and when it only has too little of the processor."""

from taxi.runtime.parts import State
from taxistream.local.pulse import BUSY_FACTOR, Patience, Pulse, Sample

PATIENCE = Patience(frozen_s=2.0, silent_s=4.0)
SAMPLE_S = PATIENCE.sample_s
IDLE = Sample()
BUSY = Sample(is_busy=True)
STOPPED = Sample(is_stopped=True)


def shown(pulse: Pulse) -> State | None:
    return pulse.state


def replaced_after_s(
    pulse: Pulse, sample: Sample, seconds: float, *, every_s: float = SAMPLE_S
) -> float | None:
    """Look for so long. Returns after how long it had to be replaced, None if it had not."""
    for number in range(1, round(seconds / every_s) + 1):
        pulse.add(sample, every_s)
        if pulse.verdict is not None:
            return number * every_s
    return None


def test_a_stopped_process_is_reported_within_half_a_second_and_replaced_after_two() -> None:
    pulse = Pulse(PATIENCE)
    pulse.add(STOPPED, SAMPLE_S)
    assert shown(pulse) is State.FROZEN
    assert replaced_after_s(pulse, STOPPED, 10) == 1.5
    assert pulse.verdict == "was frozen (stopped) for 2.0 s"


def test_a_process_that_was_stopped_for_a_moment_is_left_alone() -> None:
    pulse = Pulse(PATIENCE)
    for _ in range(20):
        assert replaced_after_s(pulse, STOPPED, 1.5) is None
        pulse.add(IDLE, SAMPLE_S)
        pulse.answered()
        assert shown(pulse) is None


def test_a_silent_process_that_has_nothing_to_do_is_stuck() -> None:
    pulse = Pulse(PATIENCE)
    assert replaced_after_s(pulse, IDLE, 2.5) is None
    assert shown(pulse) is None
    assert replaced_after_s(pulse, IDLE, 0.5) is None
    assert shown(pulse) is State.NOT_ANSWERING
    assert replaced_after_s(pulse, IDLE, 10) == 1.0
    assert pulse.verdict == "did not answer for 4 s"


def test_a_process_that_answers_now_and_then_is_left_alone() -> None:
    pulse = Pulse(PATIENCE)
    for _ in range(20):
        assert replaced_after_s(pulse, IDLE, 3.5) is None
        pulse.answered()


def test_a_silent_process_with_work_gets_more_time() -> None:
    """Load average 10: it is runnable at each look, and the answer comes when it is its turn."""
    assert replaced_after_s(Pulse(PATIENCE), BUSY, 60) == PATIENCE.silent_s * BUSY_FACTOR


def test_a_process_that_runs_now_and_then_counts_as_having_work() -> None:
    pulse = Pulse(PATIENCE)
    for _ in range(4):
        assert replaced_after_s(pulse, IDLE, 0.5) is None
        assert replaced_after_s(pulse, BUSY, 0.5) is None


def test_the_work_before_an_answer_does_not_count_afterwards() -> None:
    pulse = Pulse(PATIENCE)
    assert replaced_after_s(pulse, BUSY, 10) is None
    pulse.answered()
    assert replaced_after_s(pulse, IDLE, 10) == 4.0


def test_the_sleep_of_a_laptop_is_no_silence() -> None:
    pulse = Pulse(PATIENCE)
    for _ in range(3):
        pulse.add(IDLE, 8 * 3600)
        assert shown(pulse) is None
        pulse.answered()


def test_everything_was_stopped_for_an_hour_and_goes_on() -> None:
    pulse = Pulse(PATIENCE)
    pulse.add(STOPPED, 3600)  # we are awake first
    assert pulse.verdict is None
    assert shown(pulse) is State.FROZEN
    pulse.add(IDLE, SAMPLE_S)
    assert shown(pulse) is None


def test_a_supervisor_that_is_starved_itself_replaces_no_part_quickly() -> None:
    """It looks every three seconds instead of twice a second."""
    assert replaced_after_s(Pulse(PATIENCE), IDLE, 60, every_s=3.0) == 12


def test_a_debugger_may_hold_a_process_for_as_long_as_it_likes() -> None:
    pulse = Pulse(PATIENCE)
    assert replaced_after_s(pulse, Sample(is_traced=True), 600) is None
    assert shown(pulse) is None
    assert replaced_after_s(pulse, IDLE, 2.5) is None


def test_a_process_that_owes_no_answer_is_never_silent() -> None:
    pulse = Pulse(PATIENCE)
    assert replaced_after_s(pulse, Sample(is_asked=False), 600) is None
    assert replaced_after_s(pulse, Sample(is_stopped=True, is_asked=False), 10) == 2.0


def test_short_limits_are_looked_at_and_asked_about_more_often() -> None:
    quick, slow = Patience(frozen_s=2.0, silent_s=2.5), Patience(frozen_s=30, silent_s=60)
    assert (quick.sample_s, quick.ask_s) == (0.5, 1.25)
    assert (slow.sample_s, slow.ask_s) == (1.0, 5.0)
