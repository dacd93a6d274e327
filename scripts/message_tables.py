# SPDX-License-Identifier: Apache-2.0
"""Writes the last part of docs/messages.md: the fields of each message, from the structs, with examples.

`python -m scripts.message_tables` writes it, `--check` fails if it is out of date (a test runs that).
Meanings are the docstrings below the fields in taxi/messages, examples of events are the first of their kind
in the first golden log.
"""

import ast
import inspect
import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from scripts import asyncapi
from scripts.generated import write_or_check
from taxi import messages as m
from taxi.messages import codec

ROOT = Path(__file__).resolve().parents[1]
PATH = ROOT / "docs" / "messages.md"
GOLDEN = ROOT / "tests" / "golden" / "log" / "v1.jsonl"
BEGIN = "<!-- field by field: python -m scripts.message_tables -->\n"
T0 = 1_750_000_000_000
HERE, THERE = (-73.98, 40.75), (-73.97, 40.76)
EXAMPLES: tuple[m.Message, ...] = (
    m.Fix(driver=4711, at_ms=T0, lng=-73.98, lat=40.75, heading=29, speed=7.5),
    m.RequestRide(command_id="ann:1", ride="r-ann-1", rider="ann", pickup=HERE, dropoff=THERE),
    m.CancelRide(command_id="ann:2", ride="r-ann-1"),
    m.GoOnline(command_id="4711:1", driver=4711),
    m.GoOffline(command_id="4711:5", driver=4711),
    m.AnswerOffer(command_id="4711:2", driver=4711, ride="r-ann-1", attempt=1, accept=True),
    m.ReportProgress(command_id="4711:3", driver=4711, ride="r-ann-1", attempt=1, stage="arrived"),
    m.RideReassigned(
        batch=31,
        at_ms=T0,
        ride="r-ann-1",
        driver=12,
        attempt=2,
        eta_s=95,
        from_driver=4711,
        chain=1,
        saves_s=140,
        candidates=(m.Candidate(12, 95, 150), m.Candidate(4711, 235, 230)),
        runner_up=4711,
    ),
    m.DriverRepositioned(batch=31, at_ms=T0, driver=815, to=HERE, eta_s=310, until_ms=T0 + 370_000, zone=17),
    m.ClockSetBack(batch=77, at_ms=T0, locations_from=81_204, shift_ms=3_600_000),
    m.StartScenario(
        command_id="scenario:stadium:1",
        scenario="stadium",
        title="A stadium empties",
        lasts_s=2_400,
        area=m.Disc(-73.9934, 40.7505, 300),
    ),
    m.StopScenario(command_id="scenario:stadium:stop:1", scenario="stadium"),
    m.ScenarioStarted(
        batch=31,
        at_ms=T0,
        command_id="scenario:stadium:1",
        scenario="stadium",
        title="A stadium empties",
        lasts_s=2_400,
        area=m.Disc(-73.9934, 40.7505, 300),
    ),
    m.ScenarioEnded(batch=1231, at_ms=T0 + 2_400_000, scenario="stadium"),
    m.SnapshotPart(
        city="manhattan",
        batch=30,
        at_ms=T0,
        events_offset=412,
        part=0,
        parts=1,
        digest="79d7…",
        body="eAF1…",
    ),
    m.DeadLetter(
        topic="taxi.commands",
        partition=0,
        offset=17,
        reason="Object missing required field `driver`",
        found_by="dispatcher-1",
        key="NDcxMQ==",
        value="eyJ0eXBlIjoiR29PbmxpbmUifQ==",
    ),
    m.Verdict(
        verifier="verifier",
        at_ms=T0,
        gateways=[
            m.CheckedGateway(gateway="gateway-1", loc=81_204, ev=412, cut_ms=T0 - 900, checked=311),
            m.CheckedGateway(
                gateway="gateway-2",
                loc=81_198,
                ev=412,
                cut_ms=T0 - 1_000,
                checked=309,
                wrong=1,
                rule="wrong_hash",
                text="5f1d03aa 77c0921b sent, 5f1d03ab 77c0921b is",
            ),
        ],
    ),
)


def text() -> str:
    """The page as it should be."""
    head, _, _ = PATH.read_text().partition(BEGIN)
    return head + BEGIN + "\n".join(_tables()).rstrip() + "\n"


def _tables() -> Iterator[str]:
    yield "\n## Field by field\n"
    yield "A field with a default may be absent, and then means that. Every message also has its `type`.\n"
    schemas = asyncapi.document()["components"]["schemas"]
    examples = _examples()
    for topic, (_, _, kinds) in asyncapi.CHANNELS.items():
        yield f"### {topic}\n"
        for base in (m.Command, m.Event):
            if issubclass(kinds[0], base):
                yield from _table(base, schemas[kinds[0].__name__], only=base.__struct_fields__)
        for kind in kinds:
            own = _own_fields(kind)
            yield from _table(kind, schemas[kind.__name__], only=own)
            yield f"```json\n{examples[kind.__name__]}\n```\n"
    yield "### Parts of messages\n"
    for part in (m.Candidate, m.Disc):
        yield from _table(part, schemas[part.__name__], only=part.__struct_fields__)


def _own_fields(kind: type[m.Message]) -> tuple[str, ...]:
    """Without those that all commands or all events have."""
    shared = {
        field for base in (m.Command, m.Event) if issubclass(kind, base) for field in base.__struct_fields__
    }
    return tuple(field for field in kind.__struct_fields__ if field not in shared)


def _table(kind: type[msgspec.Struct], schema: dict[str, Any], *, only: tuple[str, ...]) -> Iterator[str]:
    yield f"**{kind.__name__}**: {_first_sentences(kind)}\n" if _has_words(kind) else f"**{kind.__name__}**\n"
    yield "| field | type | default | meaning |\n|---|---|---|---|"
    meanings = _meanings(kind)
    for name, shape in schema["properties"].items():
        if name in only:
            default = f"`{json.dumps(shape['default'])}`" if "default" in shape else ""
            yield f"| `{name}` | {_type(shape)} | {default} | {meanings.get(name, '')} |"
    yield ""


def _type(shape: dict[str, Any]) -> str:
    if "$ref" in shape:
        return str(shape["$ref"]).rsplit("/", 1)[1]
    if "anyOf" in shape:
        return " or ".join(_type(each) for each in shape["anyOf"])
    if "prefixItems" in shape:
        return f"[{', '.join(_type(each) for each in shape['prefixItems'])}]"
    if shape["type"] == "array":
        return f"array of {_type(shape['items'])}"
    if shape["type"] == "object":
        return f"object of {_type(shape['additionalProperties'])}"
    return str(shape["type"]) + _bounds(shape)


def _bounds(shape: dict[str, Any]) -> str:
    low = shape.get("minimum", shape.get("minLength"))
    high = shape.get("maximum", shape.get("maxLength"))
    if low is None and high is None:
        return ""
    unit = " characters" if shape["type"] == "string" else ""
    between = f"{low} … {high}" if None not in {low, high} else f"≥ {low}" if high is None else f"≤ {high}"
    return f" ({between}{unit})"


def _has_words(kind: type[msgspec.Struct]) -> bool:
    return "__doc__" in vars(kind) and bool(kind.__doc__) and not str(kind.__doc__).startswith("<")


def _first_sentences(kind: type[msgspec.Struct]) -> str:
    return " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())


def _meanings(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Field → the docstring below it in the source; fields of base classes first."""
    found: dict[str, str] = {}
    classes = {
        node.name: node for node in ast.parse(inspect.getsource(m)).body if isinstance(node, ast.ClassDef)
    }
    for base in reversed(kind.__mro__):
        body = classes[base.__name__].body if base.__name__ in classes else []
        for field, below in pairwise(body):
            match field, below:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(str(words))):
                    found[name] = " ".join(words.split())
    return found


def _examples() -> dict[str, str]:
    """Message → an example from the golden log."""
    found = {m.tag_of(message): codec.encode(message).decode() for message in EXAMPLES}
    for line in GOLDEN.read_text().splitlines():
        found.setdefault(json.loads(line)["type"], line)
    return found


def main() -> int:
    """Write the page, or compare it with `--check`. Returns the exit code."""
    return write_or_check({PATH: text()}, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
