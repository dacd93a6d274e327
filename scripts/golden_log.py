# SPDX-License-Identifier: Apache-2.0
"""Writes a golden log: events that the dispatcher decided in one eventful town, one JSON a line.

Run it once for each version of the schema, under a new name: a golden log is never written again. It must
fold for ever, to a state that says at least what the file beside it does (tests/unit/test_city_golden.py).
Beside it, too, the schema of all messages then: the next ones may only add to it.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from dispatcher.core import Mandate
from dispatcher.cut import Epoch, Skipped
from dispatcher.policies.tuning import Tuning
from scripts import asyncapi
from taxi import codec
from taxi.messages import AnswerOffer
from tests.unit.dispatcher.town import Town, answer, cancel, offline, online, report, request

RESTLESS = Tuning(
    rematch_interval_ms=2_000, rematch_left_ms_min=0, swap_price_ms=1_000, reposition_interval_ms=4_000
)
FOLDER = Path(__file__).resolve().parents[1] / "tests" / "golden" / "log"


def eventful_town() -> Town:
    """Everything that can happen to rides and drivers happens."""
    town = Town()
    town.drivers(d1=0, d2=14, d3=30, d4=5, d5=20)
    town.step(report(town.on_trip("completed"), "dropped_off"))
    town.step(answer(town.offered("declined"), accept=False))
    town.step(cancel("declined"))
    town.waiting_at_pickup("no-show")
    town.wait(300_000)
    town.offered("offer-expired")
    town.wait(14_000)
    town.step(cancel("offer-expired"))
    released = town.taken("released")
    kept = town.where.pop(released.driver)
    town.wait(20_000)
    town.where[released.driver] = kept
    town.step(cancel("released"))
    lost = town.on_trip("driver-lost")
    town.where.pop(lost.driver)
    town.wait(640_000)
    town.step(*(offline(driver) for driver in (1, 2, 3, 4, 5)), online(0))
    town.step(request("expired"))
    town.wait(600_000)
    town.decide(town.cut(skipped=(Skipped("taxi.commands", 70, 72),)))
    town.decide(town.cut(epoch=Epoch("f" * 16, "locations_recreated")))
    town.drivers(d6=1)
    town.on_trip("under-way")
    town.step(offline(6))
    change_drivers(town)
    return town


def change_drivers(town: Town) -> None:
    """A ride goes from driver to driver by order, is refused and driven; who is idle is sent ahead."""
    town.mandate = Mandate(policy="batched", tuning=RESTLESS)
    town.drivers(d7=35)
    town.taken("swapped")
    town.where[8] = 1
    town.step(online(8))
    ride = town.ride("swapped")
    assert ride.driver == 8
    no = AnswerOffer(command_id="no", driver=8, ride=ride.ride, attempt=ride.attempt, accept=False)
    town.step(no)
    offer = town.log_offer("swapped")
    town.step(answer(offer))
    for stage in ("arrived", "picked_up", "dropped_off"):
        town.step(report(offer, stage))
    town.drivers(**{f"d{number}": 0 for number in range(9, 18)})
    town.wait(8_000)


def schema() -> bytes:
    """Every message as JSON Schema, without the words."""
    schemas = asyncapi.document()["components"]["schemas"]
    return msgspec.json.encode({name: wordless(body) for name, body in schemas.items()})


def wordless(body: Any) -> Any:
    """Without descriptions and titles, which may change."""
    if isinstance(body, dict):
        return {key: wordless(value) for key, value in body.items() if key not in {"description", "title"}}
    return [wordless(each) for each in body] if isinstance(body, list) else body


def main(version: str) -> None:
    """Write FOLDER/`version`.jsonl, and the state beside it."""
    path = FOLDER / f"{version}.jsonl"
    if path.exists():
        raise SystemExit(f"{path} is there: a golden log is written once")
    town = eventful_town()
    lines = [codec.encode(one.event) for one in town.log]
    path.write_bytes(b"\n".join(lines) + b"\n")
    path.with_suffix(".state.json").write_bytes(msgspec.json.format(town.city.to_bytes(), indent=1) + b"\n")
    path.with_suffix(".schema.json").write_bytes(msgspec.json.format(schema(), indent=1) + b"\n")
    print(f"{path}: {len(lines)} events")


if __name__ == "__main__":
    main(sys.argv[1])
