# SPDX-License-Identifier: Apache-2.0
"""Sends updates to all clients: to live ones through the fan-out, to pending ones when they can resume."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from gateway.stream.delta_source import DeltaSource, Periods, ScenarioNotice
from gateway.stream.fanout import Client, Fanout, Tally, UpdateCache
from gateway.stream.health import PENDING, StreamHealth
from gateway.stream.messages import SessionRefusal, encode_message
from gateway.stream.session import LogOffsets, Serve, SessionPhase, Wish, judge
from gateway.stream.terms import Terms
from taxi.runtime.env import Env
from taxi.runtime.faults import Fault

BEAT_MS: Final = 1_000
VERIFIERS_MAX: Final = 4
"""Verifiers whose verdicts are passed on."""
CloseSession: TypeAlias = Callable[[Client, SessionRefusal], None]
"""Ends a client's session. It calls `Publisher.remove` before it returns."""


class Publisher:
    """Publishes the updates of one source.

    Invariants, between two awaits:

    - A client between `add` and `remove` is either pending (in `_pending`) or live (in the fan-out). Its
      `session.phase` says the same.
    - The source is at a closed cut. All clients in sync have been sent the cut of the last `publish`.
    - `remove` drops a client completely: nothing is sent to it afterwards.

    Args:
        env: The service's environment.
        terms: The settings.
        close: Ends a session that is overdue.
    """

    def __init__(self, env: Env[Any], terms: Terms, close: CloseSession) -> None:
        self._env = env
        self._terms = terms
        self._close = close
        self._updates: UpdateCache | None = None
        self._fanout = Fanout()
        self._pending: dict[Client, None] = {}
        self._health = StreamHealth()
        self._context: tuple[Periods, tuple[ScenarioNotice, ...]] = (), ()
        """Periods and scenarios of the last cut that was published."""
        self._verdicts: dict[str, str] = {}
        """Verifier → its last `verdict` message."""

    @property
    def source(self) -> DeltaSource | None:
        """The source of updates; None before the first `use`."""
        return None if self._updates is None else self._updates.source

    # --- cuts -------------------------------------------------------------------------------------

    def use(self, source: DeltaSource, *, stale: bool) -> None:
        """Use the current cut of `source` for all further updates. Call it after each cut.

        `stale` marks these updates: the gateway's input is old.
        """
        self._updates = UpdateCache(source, stale=stale, metrics=self._env.metrics, now_s=self._now_s)

    def make_all_pending(self, ends: LogOffsets) -> None:
        """Make all live clients pending, because the source was rebuilt. They resume at the next cut.

        `ends` are the ends of both logs after the rebuild.
        """
        now_s = self._now_s()
        for client in list(self._fanout.everyone()):
            self._fanout.leave(client)
            client.session.make_pending(now_s, ends)
            self._pending[client] = None

    def publish(self, *, beat: bool) -> None:
        """Send the last cut to all clients that have not got it; with `beat` to all clients.

        It also sends `health` and `pending` messages and closes sessions that are overdue. Does nothing
        before the first `use`.
        """
        if self._updates is None:
            return
        now_s = self._now_s()
        self._health.send_owed()
        source = self._updates.source
        if (source.periods, source.scenarios) != self._context:
            self._context = source.periods, source.scenarios
            self._fanout.set_all_apart()  # each is sent them before the update at which they hold
        tally = self._fanout.send_to_groups(self._updates, now_s, beat=beat)
        if tally.updates:
            self._env.metrics.observe("gateway_write_seconds", self._now_s() - now_s)
        for client in list(self._fanout.apart):
            self.catch_up(client, self._updates, now_s, tally)
        for client in list(self._pending):
            self.try_to_serve(client)
            self._end_if_overdue(client, now_s)
            self.send_pending(client)
        self._count(tally)

    def catch_up(self, client: Client, updates: UpdateCache, now_s: float, tally: Tally) -> None:
        """Send an update from the client's cursor to its requested viewport, if it has read the last one."""
        session, source = client.session, updates.source
        if client.connection.backlog():
            session.blocked(now_s)
            tally.skipped += 1
            self._end_if_overdue(client, now_s)
            return
        since = session.cursor
        assert since is not None
        assert source.cursor is not None
        if not source.serves(since):
            self._send_ready(client, updates, Serve(None, "overflow"))
            return
        tally.bytes += self._send_from(client, updates, Serve(since))
        tally.updates += 1

    def _send_from(self, client: Client, updates: UpdateCache, serve: Serve, *before: str) -> int:
        """Send the texts in `before` and an update to the last cut, after which the client is in sync.

        Before the update it also sends `city_time` and `scenarios` if the client does not know those of that
        cut.

        Returns:
            The bytes of the update as sent.
        """
        session, cursor = client.session, updates.source.cursor
        periods, scenarios = updates.source.periods, updates.source.scenarios
        assert cursor is not None
        if client.periods != periods:
            before, client.periods = (*before, encode_message(type="city_time", periods=periods)), periods
        if client.scenarios != scenarios:
            under_way = [scenario._asdict() for scenario in scenarios]
            before = (*before, encode_message(type="scenarios", under_way=under_way))
            client.scenarios = scenarios
        wish = session.wish or Wish(session.area, 0)
        wire = updates.since(serve.since, session.area, wish.area, wish.generation).wire(
            client.connection.form, 1
        )
        client.connection.send_before(before, wire)
        session.sent(cursor, wish.area)
        self._fanout.join(client)
        return len(wire)

    def _count(self, tally: Tally) -> None:
        metrics = self._env.metrics
        if tally.updates:
            metrics.count("gateway_frames_total", tally.updates)
            metrics.count("gateway_bytes_total", tally.bytes)
        if tally.skipped:
            metrics.count("gateway_skipped_total", tally.skipped)
        waiting = sum(client.connection.backlog() for client in self._fanout.apart)
        metrics.gauge("gateway_backlog_bytes", waiting)

    # --- health -----------------------------------------------------------------------------------

    def tell_health(self, faults: Sequence[Fault], now_s: float, clients: Iterable[Client]) -> None:
        """Set the faults to send: to `clients` now if they have changed, and to others after `ready`."""
        if self._health.change(faults, now_s):
            self._health.owe(client for client in clients if client.session.was_ready)

    @property
    def health_owed(self) -> int:
        """How many clients have not been sent the last `health` message, because they read slowly."""
        return self._health.owed

    def tell_verdict(self, verifier: str, gateways: list[dict[str, Any]], clients: Iterable[Client]) -> None:
        """Send a verdict to all clients that keep up, and to others after `ready`.

        Another one follows in a second, so those who read slowly are not sent this one later.
        """
        if verifier not in self._verdicts and len(self._verdicts) == VERIFIERS_MAX:
            return
        text = self._verdicts[verifier] = encode_message(type="verdict", verifier=verifier, gateways=gateways)
        for client in clients:
            if client.session.was_ready and not client.connection.backlog():
                client.connection.send(text)

    # --- one client -------------------------------------------------------------------------------

    def add(self, client: Client) -> None:
        """Take a client whose `hello` was accepted: it is pending until `resume` serves it."""
        self._pending[client] = None

    def remove(self, client: Client) -> None:
        """Drop a client. May be called twice, and for a client that was not added."""
        self._fanout.leave(client)
        self._pending.pop(client, None)
        self._health.cancel(client)

    def send_pending(self, client: Client) -> None:
        """Send `pending` to a pending client once a second, so that it does not time out."""
        if not client.connection.backlog() and client.session.is_pending_notice_due(self._now_s()):
            client.connection.send(PENDING)

    def request_viewport(self, client: Client, wish: Wish) -> None:
        """Send the rows of another viewport with the next cut."""
        client.session.want(wish)
        if client.session.phase is SessionPhase.LIVE:
            self._fanout.set_apart(client)

    def reset(self, client: Client, reason: str) -> None:
        """Make a live client pending; the next update is an image. Sets `session.cursor` to what was sent."""
        self._fanout.leave(client)
        client.session.require_image(reason, self._now_s())
        self._pending[client] = None

    def try_to_serve(self, client: Client) -> None:
        """Serve a pending client if the source has reached its cursor or it needs a reset."""
        updates, session = self._updates, client.session
        if updates is None or updates.source.cursor is None:
            return
        if session.reset is not None:
            if not client.connection.backlog():
                self._send_ready(client, updates, Serve(None, session.reset))
            return
        if session.cursor is not None and updates.source.awaits(session.cursor):
            return
        in_window = session.cursor is not None and updates.source.serves(session.cursor)
        verdict = judge(session.cursor, updates.source.cursor, in_window=in_window, ends=session.ends)
        if verdict is not None:
            self._send_ready(client, updates, verdict)

    def _send_ready(self, client: Client, updates: UpdateCache, verdict: Serve) -> None:
        """Make a client live: send `reset` if needed, `ready`, `health` if there are faults, an update."""
        session, cursor = client.session, updates.source.cursor
        assert cursor is not None
        if session.phase is SessionPhase.PENDING:
            session.live(self._now_s())
        self._pending.pop(client, None)
        reason = {} if verdict.reset is None else {"reason": verdict.reset}
        words = []
        if reason:
            words.append(encode_message(type="reset", **reason))
            self._env.metrics.count("gateway_resets_total", reason=str(verdict.reset))
        mode = "image" if verdict.since is None else "resume"
        ready = {
            "session": session.id,
            "gateway": self._terms.gateway,
            "mode": mode,
            **reason,
            "epoch": cursor.epoch,
            **updates.source.ready_fields(),
            "cut_interval_ms": self._terms.cut_interval_ms,
            "beat_interval_ms": BEAT_MS,
        }
        words.append(encode_message(type="ready", v=1, **ready))
        self._health.cancel(client)  # it is sent with `ready`
        client.periods, client.scenarios = (), ()
        if self._health.faults:
            words.append(self._health.message)
        words += self._verdicts.values()
        size = self._send_from(client, updates, verdict, *words)
        metrics = self._env.metrics
        metrics.count("gateway_sessions_total", how=verdict.reset or mode)
        metrics.count("gateway_frames_total")
        metrics.count("gateway_bytes_total", size)

    def _end_if_overdue(self, client: Client, now_s: float) -> None:
        refusal = client.session.overdue(now_s)
        if refusal is not None:
            self._close(client, refusal)

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()
