# SPDX-License-Identifier: Apache-2.0
"""Writes a golden log: events that the dispatcher decided in a scenario, one JSON object in each line.

Run it once for each version of the schema, with a new name, because a golden log is never changed. All later
versions must fold it to a state that contains at least the one in the file next to it
(tests/unit/test_city_golden.py). The schema of all messages of that version is stored, too; later ones may
only add to it.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from dispatcher.batch_input import EpochToBegin, Skipped
from dispatcher.core import DecisionConfig
from dispatcher.policies.tuning import Tuning
from scripts import asyncapi
from taxi import messages as m
from taxi.messages import AnswerOffer, codec
from testing.core_harness import FAR_AWAY, CoreHarness, answer, cancel, offline, online, report, request

RESTLESS = Tuning(
    rematch_interval_ms=2_000, rematch_left_ms_min=0, swap_price_ms=1_000, reposition_interval_ms=4_000
)
FOLDER = Path(__file__).resolve().parents[1] / "tests" / "golden" / "log"


def eventful_core() -> CoreHarness:
    """A scenario in which all events of rides and drivers occur."""
    core = CoreHarness()
    core.drivers(d1=0, d2=14, d3=30, d4=5, d5=20)
    core.step(report(core.on_trip("completed"), "dropped_off"))
    core.step(answer(core.offered("declined"), accept=False))
    core.step(cancel("declined"))
    core.waiting_at_pickup("no-show")
    core.wait(300_000)
    core.offered("offer-expired")
    core.wait(14_000)
    core.step(cancel("offer-expired"))
    released = core.taken("released")
    kept = core.where.pop(released.driver)
    core.wait(20_000)
    core.where[released.driver] = kept
    core.step(cancel("released"))
    lost = core.on_trip("driver-lost")
    core.where.pop(lost.driver)
    core.wait(640_000)
    core.step(*(offline(driver) for driver in (1, 2, 3, 4, 5)), online(0))
    core.step(request("expired"))
    core.wait(600_000)
    core.decide(core.batch_input(skipped=(Skipped("taxi.commands", 70, 72),)))
    core.decide(core.batch_input(epoch_to_begin=EpochToBegin("f" * 16, "locations_recreated")))
    core.drivers(d6=1)
    core.on_trip("under-way")
    core.step(offline(6))
    change_drivers(core)
    set_back(core)
    live_faster(core)
    hold_scenarios(core)
    return core


def change_drivers(core: CoreHarness) -> None:
    """A ride changes drivers by orders, one of which is refused; an idle driver is repositioned."""
    core.decision_config = DecisionConfig(policy="batched", tuning=RESTLESS)
    core.drivers(d7=35)
    core.taken("swapped")
    core.where[8] = 1
    core.step(online(8))
    ride = core.ride("swapped")
    assert ride.driver == 8
    no = AnswerOffer(command_id="no", driver=8, ride=ride.ride, attempt=ride.attempt, accept=False)
    core.step(no)
    offer = core.log_offer("swapped")
    core.step(answer(offer))
    for stage in ("arrived", "picked_up", "dropped_off"):
        core.step(report(offer, stage))
    core.drivers(**{f"d{number}": 0 for number in range(9, 18)})
    core.wait(8_000)


def set_back(core: CoreHarness) -> None:
    """The broker's clock is set back by an hour; rides go on."""
    core.back_ms += 3_600_000
    core.wait(4_000)
    core.on_trip("after-the-clock-was-set")


def live_faster(core: CoreHarness) -> None:
    """People live ten times as fast for a while; a rider waits across both changes."""
    core.step(request("across"))
    for speed in (10, 1):
        core.decision_config = replace(core.decision_config, speed=speed)
        core.wait(4_000)


def hold_scenarios(core: CoreHarness) -> None:
    """One scenario ends by itself, one is stopped, and one is under way at the end."""
    area = m.Disc(*FAR_AWAY, 300)
    for name, disc in (("rain", None), ("strike", None), ("stadium", area)):
        lasts_s = 6 if name == "rain" else 3_600
        core.step(
            m.StartScenario(
                command_id=f"{name}:start", scenario=name, title=name.title(), lasts_s=lasts_s, area=disc
            )
        )
    core.step(m.StopScenario(command_id="strike:stop", scenario="strike"))
    core.wait(8_000)


def schema() -> bytes:
    """The JSON Schema of all messages, without descriptions and titles."""
    schemas = dict(sorted(asyncapi.written().items()))
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
    core = eventful_core()
    lines = [codec.encode(one.event) for one in core.log]
    path.write_bytes(b"\n".join(lines) + b"\n")
    path.with_suffix(".state.json").write_bytes(msgspec.json.format(core.city.to_bytes(), indent=1) + b"\n")
    path.with_suffix(".schema.json").write_bytes(msgspec.json.format(schema(), indent=1) + b"\n")
    print(f"{path}: {len(lines)} events")


if __name__ == "__main__":
    main(sys.argv[1])
