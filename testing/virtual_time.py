# SPDX-License-Identifier: Apache-2.0
"""A deterministic asyncio loop: virtual time, one seed, nodes that are killed, frozen and thawed.

A node is a simulated process. Each has its own first-in first-out queue of callbacks, as a real loop has;
the seed picks which node runs next. Time advances only when no node has a callback to run. What a node starts
(tasks, timers, callbacks of futures that it awaits) belongs to it through a context variable; what a node
does to the world goes through objects bound to it, so that a dead one's have no effect.
"""

import asyncio
import contextvars
import gc
import heapq
import random
import sys
import warnings
from asyncio.events import Handle, TimerHandle
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from enum import Enum
from typing import Any, NoReturn

_NODE: contextvars.ContextVar["Node"] = contextvars.ContextVar("node")


class Stuck(Exception):  # noqa: N818 - the state of a world, not of a call
    """No node has a callback or timer left."""


class State(Enum):
    UP = "up"
    FROZEN = "frozen"
    DEAD = "dead"


class Node:
    """One simulated process. A restart is a new node."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = State.UP
        self.ready: deque[Handle] = deque()
        self.fuse = 0
        """Struck after this many more callbacks; 0: never."""
        self.fuse_freezes = False
        self.tasks: list[SimTask] = []
        self.context = Context()
        self.context.run(_NODE.set, self)

    def light(self, callbacks: int, *, freeze: bool = False) -> None:
        """Kill (or freeze) it after so many more callbacks; 0: let it be."""
        self.fuse, self.fuse_freezes = callbacks, freeze

    def __repr__(self) -> str:
        return f"<{self.name} {self.state.value}>"


class SimTask(asyncio.Task[Any]):
    """A task that hashes by its birth number: sets of tasks iterate alike in every run."""

    _birth: int

    def __init__(self, coro: Any, birth: int, **kwargs: Any) -> None:
        self._birth = birth
        super().__init__(coro, **kwargs)

    def __hash__(self) -> int:
        return self._birth

    def __eq__(self, other: object) -> bool:
        return self is other


class SimLoop(asyncio.BaseEventLoop):
    """The loop of a whole simulated world."""

    def __init__(self, seed: int | str) -> None:
        super().__init__()
        self.random = random.Random(f"loop {seed}")
        self.now = 0.0
        self.steps = 0
        self.root = Node("root")
        """The world itself: network, broker, nemesis. Never killed."""
        self.errors: list[tuple[str, BaseException | str]] = []
        """(node, error): what reached the loop's exception handler."""
        self._births = 0
        self._timers: list[tuple[float, int, Node, TimerHandle]] = []
        self._runnable: list[Node] = []
        self._nodes: list[Node] = [self.root]
        """All there ever were."""
        self.set_exception_handler(self._note_error)

    # --- what asyncio asks of a loop ----------------------------------------------------------------

    def time(self) -> float:
        return self.now

    def call_soon(  # type: ignore[override] # asyncio's stub uses TypeVarTuple
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        handle = Handle(callback, args, self, context)
        self._enqueue(self._owner(context), handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> NoReturn:
        raise RuntimeError("a thread in a simulation")

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> TimerHandle:
        node = self._owner(context)
        handle = TimerHandle(when, callback, args, self, context)
        if node.state is not State.DEAD:
            self._births += 1
            heapq.heappush(self._timers, (when, self._births, node, handle))
        return handle

    def create_task(  # type: ignore[override]
        self,
        coro: Generator[Any, None, Any] | Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
        **_eager: Any,
    ) -> SimTask:
        self._births += 1
        context = context or contextvars.copy_context()
        task = SimTask(coro, self._births, loop=self, name=name or f"t{self._births}", context=context)
        node = self._owner(context)
        if len(node.tasks) > 64:
            node.tasks = [other for other in node.tasks if not other.done()]
        node.tasks.append(task)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Any, *args: Any
    ) -> NoReturn:
        raise RuntimeError("a thread in a simulation")

    async def getaddrinfo(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise RuntimeError("real I/O in a simulation")

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """There is none."""

    def _process_events(self, event_list: Any) -> None:
        """There is no selector."""

    def _write_to_self(self) -> None:
        """There is no other thread to wake."""

    def _timer_handle_cancelled(self, handle: TimerHandle) -> None:
        """Cancelled timers are dropped when their time comes."""

    def _run_once(self) -> None:
        runnable, timers = self._runnable, self._timers
        if not runnable or (timers and timers[0][0] <= self.now):
            self._fire_timers()
            if not runnable:
                return
        index = int(self.random.random() * len(runnable)) if len(runnable) > 1 else 0
        node = runnable[index]
        handle = node.ready.popleft()
        if not node.ready:
            runnable[index] = runnable[-1]
            runnable.pop()
        if handle.cancelled():
            return
        self.steps += 1
        handle._run()
        if node.fuse:
            node.fuse -= 1
            if not node.fuse:
                (self.freeze if node.fuse_freezes else self.kill)(node)

    def _fire_timers(self) -> None:
        timers = self._timers
        if not self._runnable:
            while timers and (timers[0][3].cancelled() or timers[0][2].state is State.DEAD):
                heapq.heappop(timers)
            if not timers:
                raise Stuck(f"nothing to run at {self.now:.3f} s")
            self.now = max(self.now, timers[0][0])
        while timers and timers[0][0] <= self.now:
            _, _, node, handle = heapq.heappop(timers)
            if not handle.cancelled():
                self._enqueue(node, handle)

    def _owner(self, context: Context | None) -> Node:
        node = context.get(_NODE) if context is not None else _NODE.get(None)
        return node or self.root

    def _enqueue(self, node: Node, handle: Handle) -> None:
        if node.state is State.DEAD:
            return
        if not node.ready and node.state is State.UP:
            self._runnable.append(node)
        node.ready.append(handle)

    def _note_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        node = _NODE.get(self.root)
        self.errors.append((node.name, context.get("exception") or str(context.get("message"))))

    # --- what a world does to its nodes -------------------------------------------------------------

    def spawn(self, node: Node, coro: Coroutine[Any, Any, Any]) -> SimTask:
        """Run a coroutine as a part of this node."""
        if node not in self._nodes:
            self._nodes.append(node)
        return self.create_task(coro, context=node.context.copy())

    def in_world(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        """Call back as the world itself: this happens whatever becomes of the caller."""
        when = self.now + delay_s
        self._births += 1
        handle = TimerHandle(when, callback, args, self, self.root.context)
        heapq.heappush(self._timers, (when, self._births, self.root, handle))

    def kill(self, node: Node) -> None:
        """SIGKILL: nothing of the node runs again, no finally, no except.

        Its objects are kept: if they were collected now, their coroutines would be closed, and every
        `finally` in them would run.
        """
        if node.state is State.DEAD:
            return
        if node in self._runnable:
            self._runnable.remove(node)
        node.state = State.DEAD
        node.ready.clear()
        node.fuse = 0

    def freeze(self, node: Node) -> None:
        """SIGSTOP: its timers come due, and wait."""
        if node.state is State.UP:
            node.state = State.FROZEN
            if node in self._runnable:
                self._runnable.remove(node)

    def thaw(self, node: Node) -> None:
        """SIGCONT."""
        if node.state is State.FROZEN:
            node.state = State.UP
            if node.ready:
                self._runnable.append(node)

    def sleep_through(self, seconds: float) -> None:
        """Suspend the whole machine: nothing runs, and all timers of that time are due at once afterwards."""
        self.now += seconds

    def shut_down(self) -> None:
        """The end of the world: free everything without running a line of it."""
        # Closing the tasks' coroutines runs their `finally` clauses; their effects and errors must be
        # ignored.
        self.set_exception_handler(lambda *_: None)
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        self.call_soon = self.call_at = _no_more  # type: ignore[method-assign]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._hush(self._nodes)
                self._timers.clear()
                self._runnable.clear()
                self._nodes.clear()
                self.errors.clear()
                gc.collect()
        finally:
            sys.unraisablehook = hook
        self.close()

    @staticmethod
    def _hush(nodes: list[Node]) -> None:
        """Let go of all tasks; asyncio need not complain that they were pending.

        What they wait for lets go of them, too: a test may hold that, and free them when all can be heard.
        """
        for node in nodes:
            for task in node.tasks:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                waits_for: Any = task._fut_waiter  # type: ignore[attr-defined]
                for callback, _ in getattr(waits_for, "_callbacks", None) or ():
                    waits_for.remove_done_callback(callback)
            node.tasks.clear()


def _no_more(*_args: Any, **_kwargs: Any) -> Any:
    return None
