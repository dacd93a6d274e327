# SPDX-License-Identifier: Apache-2.0
"""What is known of one gateway: the newest update that was checked, and what was wrong with it."""

from dataclasses import dataclass, field
from typing import Final

from taxi.messages import CheckedGateway
from taxistream.tools.loadtest.decoding import NotAnUpdateError, read_header
from taxistream.tools.loadtest.judge import ReceivedUpdate, Unready, judge
from taxistream.tools.oracle.city import OracleCity

AHEAD_S: Final = 10.0
"""The content of an update must be readable on the log within this time."""
TEXT_MAX: Final = 300
TRUTHS: Final = frozenset({"bytes", "chain", "cursor_went_back", "epoch", "image_unasked", "words"})
"""What a client finds by itself, of the rules of taxistream/tools/loadtest/rules.py, that does not depend on
time: a busy machine breaks none of them."""


@dataclass(eq=False)
class GatewayCheck:
    """The checks of one gateway. It takes samples, and judges each when the log was read that far."""

    interval_s: float
    gateway: str = ""
    checked: int = 0
    """Updates."""
    wrong: int = 0
    _sample: ReceivedUpdate | None = None
    _sampled_s: float = -1e9
    _result: CheckedGateway | None = None
    _found: list[tuple[str, str]] = field(default_factory=list)

    def saw(self, gateway: str, update: ReceivedUpdate, now_s: float) -> None:
        """An update came. Samples are `interval_s` apart; the first of another gateway is always taken."""
        if gateway != self.gateway:
            self.gateway, self._sample, self._result = gateway, None, None
            self._found.clear()
        elif self._sample is not None or now_s - self._sampled_s < self.interval_s:
            return
        self._sample, self._sampled_s = update, now_s

    def broke(self, rule: str, text: str) -> None:
        """The client has found by itself that a rule was broken."""
        if rule in TRUTHS:
            self._found.append((rule, text))

    def judge(self, city: OracleCity, now_s: float) -> bool:
        """Judge the sample if the log was read that far. Whether there is a new result."""
        if self._sample is None:
            return False
        sample = self._sample
        try:
            verdicts = judge(city, sample).verdicts
        except Unready:
            if now_s - self._sampled_s < AHEAD_S:
                return False
            verdicts = [("ahead_of_log", f"{sample.to} is not on the log after {AHEAD_S:g} s")]
        self._sample = None
        self.checked += 1
        verdicts += self._found
        self._found = []
        self.wrong += bool(verdicts)
        rule, text = verdicts[0] if verdicts else ("", "")
        self._result = CheckedGateway(
            gateway=self.gateway,
            loc=sample.to[0],
            ev=sample.to[1],
            cut_ms=_cut_ms(sample.message),
            checked=self.checked,
            wrong=self.wrong,
            rule=rule,
            text=text[:TEXT_MAX],
        )
        return True

    @property
    def result(self) -> CheckedGateway | None:
        """Of the newest check of this gateway; None if there was none."""
        return self._result


def _cut_ms(message: bytes) -> int:
    try:
        return read_header(message).at_ms
    except NotAnUpdateError:
        return 0
