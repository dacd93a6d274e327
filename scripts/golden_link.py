# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/link.json: the transition of each event in each state of a client's connection.

`python -m scripts.golden_link` writes it from the Python client's rules, `--check` compares. Tests compare
both clients with it, so their rules cannot drift apart.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from scripts.generated import write_or_check
from taxi.client.link import Effect, Link, LinkEvent, Refusal, open_ms, step
from taxi.client.protocol import CLOSE_ACTIONS, PROMPT_RETRIES, EffectType, EventType, LinkState

ROOT: Final = Path(__file__).resolve().parents[1]
PATH: Final = ROOT / "tests" / "golden" / "link.json"
CHANCE: Final = 0.5
_REFUSED: Final = Refusal(4401, "the token has expired")


def text() -> str:
    """The file as it should be: one case a line."""
    return "[\n" + ",\n".join(f" {json.dumps(case)}" for case in _cases()) + "\n]\n"


def is_void(case: dict[str, Any]) -> bool:
    """Whether the event changes nothing and nothing is done."""
    return bool(case["before"] == case["after"] and not case["effects"])


def _cases() -> Iterator[dict[str, Any]]:
    for i, link in enumerate(_links()):
        for event in _events(every_code=i % 3 == 0):
            after, effects = step(link, event, CHANCE)
            case = {
                "before": _link(link),
                "event": _event(event),
                "after": _link(after),
                "effects": [effect.type.value for effect in effects],
                "retry_in_ms": next(
                    (_ms(effect) for effect in effects if effect.type is EffectType.RETRY), None
                ),
                "open_ms": open_ms(after),
            }
            if not is_void(case) or event.type in {EventType.VERIFIED, EventType.DRAIN}:
                yield case


def _links() -> Iterator[Link]:
    for state in LinkState:
        yield Link(state)
        yield Link(state, failures=3, wants_token=True, refusal=_REFUSED)
        yield Link(state, failures=PROMPT_RETRIES + 2, has_asked=True, is_doubted=True)


def _events(*, every_code: bool) -> Iterator[LinkEvent]:
    for type_ in EventType:
        plain = LinkEvent(type_, code=1006) if "closed" in type_.value else LinkEvent(type_)
        yield plain
        if type_ is EventType.TOKEN:
            yield replace(plain, is_new=True)
        if type_ is EventType.BROKEN:
            yield replace(plain, forget=True)
        if type_ in {EventType.CLOSED, EventType.NEXT_CLOSED}:
            for code in (*CLOSE_ACTIONS, 4499, 4999) if every_code else (4001, 4002, 4008, 4401, 4404):
                yield replace(plain, code=code, reason="why")
            for reason in ("700", "90000", "-1", "1e3", "٣") if every_code else ("700",):
                yield replace(plain, code=4001, reason=reason)


def _link(link: Link) -> dict[str, Any]:
    return {
        "state": link.state.value,
        "failures": link.failures,
        "wants_token": link.wants_token,
        "has_asked": link.has_asked,
        "is_doubted": link.is_doubted,
        "refusal": list(link.refusal) if link.refusal else None,
    }


def _event(event: LinkEvent) -> dict[str, Any]:
    said: dict[str, Any] = {"type": event.type.value}
    if event.type in {EventType.CLOSED, EventType.NEXT_CLOSED}:
        said |= {"code": event.code, "reason": event.reason}
    elif event.type is EventType.TOKEN:
        said["is_new"] = event.is_new
    elif event.type is EventType.BROKEN:
        said["forget"] = event.forget
    return said


def _ms(effect: Effect) -> float:
    return round(effect.in_ms, 3)


if __name__ == "__main__":
    sys.exit(write_or_check({PATH: text()}, sys.argv[1:]))
