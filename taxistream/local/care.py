# SPDX-License-Identifier: Apache-2.0
"""Looks after one process from its start to its end: waits until it is ready, ends it if it stops working."""

import asyncio
import signal
from collections.abc import Callable
from typing import Final, Protocol

from taxi.runtime.parts import Part, State
from taxistream.local.child import send_signal
from taxistream.local.pulse import Pulse
from taxistream.local.room import Room
from taxistream.local.running import ReadinessAnswer, Running, ending, stop

POLL_S: Final = 0.25
WAIT_S_MAX: Final = 300.0
"""How long a part that says what it waits for may take to become ready."""
SLOW_START_S: Final = 15.0
"""Most starts are quicker: then we ask less often, and tell the person what a part waits for."""
STARTING: Final = "starting"
"""What a service's readiness says before the service has said anything: no reason to wait longer for it."""


class Tells(Protocol):
    """What happens to a part."""

    def waits(self, part: Part) -> None: ...


class Care:
    """The same for all parts."""

    def __init__(
        self, room: Room, watcher: Tells, change: Callable[[Running, State, str], None], hurry: asyncio.Event
    ) -> None:
        """`change` is called with each new state of a part and the reason for it."""
        self._room = room
        self._watcher = watcher
        self._change = change
        self._hurry = hurry

    async def until_ready(self, running: Running) -> str | None:
        """Wait for a process that was just started. Returns None once it is ready; else why it has ended.

        A part that is not ready after its `start_s_max` is ended, unless it says what it waits for.
        """
        loop, spec, process = asyncio.get_running_loop(), running.spec, running.process
        assert process is not None
        began_s = sampled_s = loop.time()
        pulse, is_reported = Pulse(spec.patience), False
        while True:
            answer = await spec.ready(running)
            if answer is not None and answer.is_ready:
                self._change(running, State.READY, "")
                return None
            if running.ended:
                return ending(await process.wait())
            now_s = loop.time()
            if now_s - sampled_s >= spec.patience.sample_s:
                pulse.add(running.sample(now_s - sampled_s, is_asked=False), now_s - sampled_s)
                sampled_s = now_s
            reason = answer.reason if answer is not None and answer.reason != STARTING else ""
            s_max = WAIT_S_MAX if reason else spec.start_s_max
            if pulse.verdict or now_s - began_s >= s_max:
                send_signal(process, signal.SIGKILL)
                await process.wait()
                late = f"was not ready within {s_max:.0f} s{f' ({reason})' if reason else ''}"
                return pulse.verdict or late
            if reason:
                self._change(running, running.state, reason)
            is_slow = now_s - began_s >= SLOW_START_S
            if reason and is_slow and not is_reported:
                self._watcher.waits(running.shown())
                is_reported = True
            await asyncio.sleep(POLL_S if is_slow else 0.05)

    async def until_end(self, running: Running) -> str | None:
        """Look after a part that is ready. Returns why it ended; None: it was paused for want of room."""
        loop, spec, process = asyncio.get_running_loop(), running.spec, running.process
        assert process is not None
        pulse = Pulse(spec.patience)
        ended = asyncio.ensure_future(process.wait())
        asking: asyncio.Future[ReadinessAnswer | None] | None = None
        sampled_s = asked_s = loop.time()
        is_answered = True
        try:
            while True:
                await asyncio.wait({ended}, timeout=spec.patience.sample_s)
                if ended.done():
                    return ending(ended.result())
                now_s = loop.time()
                sample = running.sample(now_s - sampled_s, is_asked=asking is not None or not is_answered)
                pulse.add(sample, now_s - sampled_s)
                sampled_s = now_s
                if asking is not None and asking.done():
                    is_answered = self._hear(running, pulse, asking.result())
                    asking = None
                is_due = now_s - asked_s >= spec.patience.ask_s or not is_answered
                if asking is None and spec.alive is not None and is_due:
                    asking, asked_s = asyncio.ensure_future(spec.alive(running)), now_s
                self._show(running, pulse)
                if (why := pulse.verdict) is not None:
                    send_signal(process, signal.SIGKILL)
                    await ended
                    return f"{why} and was killed"
                if spec.on_full_disk == "pause" and self._room.problem is not None:
                    self._change(running, State.PAUSED, self._room.problem)
                    await stop(running, self._hurry)
                    return None
        finally:
            ended.cancel()
            if asking is not None:
                asking.cancel()

    async def until_room(self, running: Running, paused: Callable[[Part], None]) -> None:
        """Keep a part that would have to write from starting while the disk is full."""
        is_reported = False
        while running.spec.on_full_disk != "run" and self._room.problem is not None:
            running.process = None
            self._change(running, State.PAUSED, self._room.problem)
            if not is_reported:
                paused(running.shown())
                is_reported = True
            await asyncio.sleep(POLL_S)

    def _hear(self, running: Running, pulse: Pulse, answer: ReadinessAnswer | None) -> bool:
        """Take an answer into account. Returns whether there was one."""
        if answer is None:
            return False
        pulse.answered()
        state = State.READY if answer.is_ready else State.NOT_READY
        self._change(running, state, answer.reason)
        return True

    def _show(self, running: Running, pulse: Pulse) -> None:
        """Show that it gives no sign of life, or that it does again."""
        if (state := pulse.state) is not None:
            self._change(running, state, "")
        elif running.state in {State.FROZEN, State.NOT_ANSWERING}:
            self._change(running, State.READY, "")
