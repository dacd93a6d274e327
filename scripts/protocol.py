# SPDX-License-Identifier: Apache-2.0
"""Makes the clients' constants and the tables of docs/protocol.md from taxi/client/protocol.toml.

`python -m scripts.protocol` writes taxi/client/protocol.py, web/frontend/src/stream/protocol.ts and the
marked tables of docs/protocol.md. With `--check` it only says which of them differ (a test runs that).
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from scripts.generated import write_or_check

ROOT: Final = Path(__file__).resolve().parents[1]
DATA: Final = ROOT / "taxi" / "client" / "protocol.toml"
PYTHON: Final = ROOT / "taxi" / "client" / "protocol.py"
TYPESCRIPT: Final = ROOT / "web" / "frontend" / "src" / "stream" / "protocol.ts"
PAGE: Final = ROOT / "docs" / "protocol.md"
STRUCT_CODES: Final = {"u8": "B", "u16": "H", "u32": "I", "i32": "i", "u64": "Q"}
BYTES: Final = {"u8": 1, "u16": 2, "u32": 4, "i32": 4, "u64": 8}
MADE: Final = "The browser stream as constants. Made from protocol.toml by"
ACTIONS: Final = ("after_reason", "slowly", "without_cursor", "refused", "token", "lost")
Data = Mapping[str, Any]


class ProtocolDataError(Exception):
    """The data contradicts itself; the message says where."""


def load(path: Path = DATA) -> Data:
    """The data, checked: each name that a table uses is defined. Raises ProtocolDataError."""
    data = tomllib.loads(path.read_text("utf-8"))
    states, events = _names(data["states"]), _names(data["events"])
    if set(data["transitions"]) != states:
        raise ProtocolDataError(f"transitions of other states: {set(data['transitions']) ^ states}")
    for state, row in data["transitions"].items():
        if unknown := (set(row) - events) | (set(row.values()) - set(data["rules"])):
            raise ProtocolDataError(f"unknown words in transitions.{state}: {sorted(unknown)}")
    used = {rule for row in data["transitions"].values() for rule in row.values()}
    if unused := set(data["rules"]) - used:
        raise ProtocolDataError(f"rules that no transition uses: {sorted(unused)}")
    for code in data["close_codes"]:
        if code["action"] not in ACTIONS:
            raise ProtocolDataError(f"close code {code['code']}: no such action: {code['action']}")
    return data


def files(data: Data) -> dict[Path, str]:
    """Every file that is made from the data, as it should be."""
    return {PYTHON: python(data), TYPESCRIPT: typescript(data), PAGE: page(data, PAGE.read_text("utf-8"))}


def _names(rows: Iterable[Data]) -> set[str]:
    return {row["name"] for row in rows}


# --- Python ---------------------------------------------------------------------------------------


def python(data: Data) -> str:
    """taxi/client/protocol.py."""
    return "\n".join(_python_lines(data)) + "\n"


def _python_lines(data: Data) -> Iterator[str]:
    yield "# SPDX-License-Identifier: Apache-2.0"
    yield f'"""{MADE} `python -m scripts.protocol`: edit that."""'
    yield ""
    yield "import struct"
    yield "from collections.abc import Mapping"
    yield "from enum import Enum"
    yield "from typing import Final, NamedTuple"
    yield ""
    yield f"VERSION: Final = {data['version']}"
    yield f'SUBPROTOCOL: Final = "{data["subprotocol"]}"'
    for limit in _client_limits(data):
        yield f"{limit['name'].upper()}: Final = {limit['value']}"
        yield from _docstring(limit["about"], "")
    yield from _python_enum("LinkState", "Where the connection to a gateway is in its life.", data["states"])
    yield from _python_enum("EventType", "What may happen to it.", data["events"])
    yield from _python_enum("EffectType", "What the client has to do then.", data["effects"])
    rules = [{"name": name, "about": about} for name, about in data["rules"].items()]
    yield from _python_enum("Rule", "How an event changes the state, and what it makes the client do.", rules)
    actions = [{"name": name} for name in ACTIONS]
    yield from _python_enum("CloseAction", "What a client does after a close code.", actions)
    yield ""
    yield ""
    yield "SERVING: Final = frozenset("
    yield "    {"
    yield from (f"        LinkState.{row['name'].upper()}," for row in data["states"] if row.get("serves"))
    yield "    }"
    yield ")"
    yield from _docstring("States in which a connection serves.", "")
    yield "TRANSITIONS: Final[Mapping[LinkState, Mapping[EventType, Rule]]] = {"
    for state, row in data["transitions"].items():
        yield f"    LinkState.{state.upper()}: {{"
        yield from (f"        EventType.{event.upper()}: Rule.{rule.upper()}," for event, rule in row.items())
        yield "    },"
    yield "}"
    yield from _docstring("An event that is not named in a state changes nothing there.", "")
    yield from _python_codes(data)
    yield from _python_layouts(data)


def _python_codes(data: Data) -> Iterator[str]:
    single, ranges = _codes(data)
    yield "CLOSE_ACTIONS: Final[Mapping[int, CloseAction]] = {"
    yield from (f"    {row['code']}: CloseAction.{row['action'].upper()}," for row in single)
    yield "}"
    yield ""
    yield ""
    yield "def close_action(code: int) -> CloseAction:"
    yield '    """What a client does after this close code."""'
    for row in ranges:
        yield f"    if {row['code']} <= code <= {row['up_to']}:"
        yield f"        return CLOSE_ACTIONS.get(code, CloseAction.{row['action'].upper()})"
    yield "    return CLOSE_ACTIONS.get(code, CloseAction.LOST)"
    yield ""
    yield ""


def _python_layouts(data: Data) -> Iterator[str]:
    yield from (f"{name.upper()}_FLAG: Final = {bit}" for name, bit in data["flags"].items())
    yield from _python_struct("HEADER", "UpdateHeader", "The header of an update.", data["header"])
    yield from _python_struct(
        "BLOCK_COUNTS",
        "BlockCounts",
        "How many rows of each kind a block of drivers has.",
        [{**row, "type": "u32"} for row in data["block_counts"]],
    )
    yield from _python_struct("RIDE", "RideFields", "The fixed part of a ride record.", data["ride"])
    for part in ("set", "status"):
        types = "".join(STRUCT_CODES[row["type"]] for row in data["block_columns"] if row["part"] == part)
        yield f'{part.upper()}_COLUMNS: Final = "{types}"'
    yield f"MOVED_AT_LESS_MS: Final = {_moved_less(data)}"


def _python_enum(name: str, about: str, rows: Iterable[Data]) -> Iterator[str]:
    yield ""
    yield ""
    yield f"class {name}(Enum):"
    yield f'    """{about}"""'
    yield ""
    for row in rows:
        yield f'    {row["name"].upper()} = "{row["name"]}"'
        if "about" in row:
            yield from _docstring(_sentence(row["about"]), "    ")


def _python_struct(constant: str, name: str, about: str, rows: list[Data]) -> Iterator[str]:
    yield f'{constant}: Final = struct.Struct("<{"".join(STRUCT_CODES[row["type"]] for row in rows)}")'
    yield ""
    yield ""
    yield f"class {name}(NamedTuple):"
    yield f'    """{about}"""'
    yield ""
    yield from (f"    {row['name']}: int" for row in rows)
    yield ""
    yield ""


def _docstring(text: str, indent: str) -> Iterator[str]:
    words, line = _sentence(text).split(), f'{indent}"""'
    for word in words:
        if len(line) + len(word) > 105:
            yield line.rstrip()
            line = indent
        line += f"{word} "
    yield line.rstrip() + '"""'


def _sentence(text: str) -> str:
    text = text if text.startswith(("`", "→")) else text[0].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def _client_limits(data: Data) -> list[Data]:
    return [limit for limit in data["limits"] if limit["side"] == "client"]


def _codes(data: Data) -> tuple[list[Data], list[Data]]:
    rows = data["close_codes"]
    return [row for row in rows if "up_to" not in row], [row for row in rows if "up_to" in row]


def _moved_less(data: Data) -> int:
    [less] = [row["less"] for row in data["block_columns"] if "less" in row]
    return int(less)


# --- TypeScript -----------------------------------------------------------------------------------


def typescript(data: Data) -> str:
    """web/frontend/src/stream/protocol.ts."""
    return "\n".join(_typescript_lines(data)) + "\n"


def _typescript_lines(data: Data) -> Iterator[str]:
    yield "// SPDX-License-Identifier: Apache-2.0"
    yield "/**"
    yield f" * {MADE}"
    yield " * `python -m scripts.protocol`: edit that."
    yield " */"
    yield ""
    yield f"export const VERSION = {data['version']};"
    yield f'export const SUBPROTOCOL = "{data["subprotocol"]}";'
    for limit in _client_limits(data):
        yield f"/** {_sentence(limit['about'])} */"
        yield f"export const {limit['name'].upper()} = {_grouped(limit['value'])};"
    yield from _typescript_union(
        "LinkState", "Where the connection to a gateway is in its life.", data["states"]
    )
    yield from _typescript_union("EventType", "What may happen to it.", data["events"])
    yield from _typescript_union("EffectType", "What the client has to do then.", data["effects"])
    rules = [{"name": name, "about": about} for name, about in data["rules"].items()]
    yield from _typescript_union(
        "Rule", "How an event changes the state, and what it makes the client do.", rules
    )
    yield from _typescript_union(
        "CloseAction", "What a client does after a close code.", [{"name": name} for name in ACTIONS]
    )
    yield ""
    yield "/** States in which a connection serves. */"
    yield "export const SERVING: ReadonlySet<LinkState> = new Set<LinkState>(["
    yield from (f'  "{row["name"]}",' for row in data["states"] if row.get("serves"))
    yield "]);"
    yield ""
    yield "/** An event that is not named in a state changes nothing there. */"
    yield "export const TRANSITIONS: Record<LinkState, Partial<Record<EventType, Rule>>> = {"
    for state, row in data["transitions"].items():
        yield f"  {state}: {{"
        yield from (f'    {event}: "{rule}",' for event, rule in row.items())
        yield "  },"
    yield "};"
    single, ranges = _codes(data)
    yield ""
    yield "const CLOSE_ACTIONS: Record<number, CloseAction> = {"
    yield from (f'  {row["code"]}: "{row["action"]}",' for row in sorted(single, key=lambda row: row["code"]))
    yield "};"
    yield ""
    yield "/** What a client does after this close code. */"
    yield "export function closeAction(code: number): CloseAction {"
    for row in ranges:
        inside = f"{row['code']} <= code && code <= {row['up_to']}"
        yield f'  if ({inside}) return CLOSE_ACTIONS[code] ?? "{row["action"]}";'
    yield '  return CLOSE_ACTIONS[code] ?? "lost";'
    yield "}"
    yield ""
    for name, bit in data["flags"].items():
        yield f"export const {name.upper()}_FLAG = {bit};"
    yield from _typescript_layout("HEADER", "Where each field of an update's header is.", data["header"])
    yield from _typescript_layout(
        "RIDE", "Where each field of a ride record is; its id follows.", data["ride"]
    )
    counts = len(data["block_counts"])
    yield ""
    yield "/** Counts at the beginning of a block of drivers, 32 bits each. */"
    yield f"export const BLOCK_COUNTS = {counts};"
    yield f"export const MOVED_AT_LESS_MS = {_grouped(_moved_less(data))};"


def _typescript_union(name: str, about: str, rows: Iterable[Data]) -> Iterator[str]:
    yield ""
    yield f"/** {about} */"
    rows = list(rows)
    if len("  ".join(row["name"] for row in rows)) < 60 and not any("about" in row for row in rows):
        yield f"export type {name} = " + " | ".join(f'"{row["name"]}"' for row in rows) + ";"
        return
    yield f"export type {name} ="
    for i, row in enumerate(rows):
        if "about" in row:
            yield f"  /** {_sentence(row['about'])} */"
        yield f'  | "{row["name"]}"' + (";" if i == len(rows) - 1 else "")


def _typescript_layout(name: str, about: str, rows: list[Data]) -> Iterator[str]:
    yield ""
    yield f"/** {about} */"
    yield f"export const {name} = {{"
    for at, row in _placed(rows):
        yield f"  {_camel(row['name'])}: {at},"
    yield "} as const;"
    yield f"export const {name}_BYTES = {sum(BYTES[row['type']] for row in rows)};"


def _placed(rows: list[Data]) -> Iterator[tuple[int, Data]]:
    at = 0
    for row in rows:
        yield at, row
        at += BYTES[row["type"]]


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _grouped(value: int) -> str:
    return f"{value:_}"


# --- the page -------------------------------------------------------------------------------------


def page(data: Data, text: str) -> str:
    """docs/protocol.md with its marked tables made from the data. Raises ProtocolDataError."""
    for name, rows in tables(data).items():
        begin, end = f"<!-- table {name}: python -m scripts.protocol -->", f"<!-- end of table {name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ProtocolDataError(f"docs/protocol.md has no place for the table {name}")
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(end)
        text = "\n".join((head + begin, *rows, end)) + tail
    return text


def tables(data: Data) -> dict[str, list[str]]:
    """Name of a table → its lines."""
    return {
        "client messages": _table(["message", "when"], _messages(data["client_messages"])),
        "server messages": _table(["message", "meaning"], _messages(data["server_messages"])),
        "limits": _table(
            ["limit", "value", "kept by the", ""],
            ([f"`{row['name']}`", row["value"], row["side"], row["about"]] for row in data["limits"]),
        ),
        "close codes": _table(
            ["code", "meaning", "the client"],
            [
                *([_code(row), row["meaning"], row["client"]] for row in data["close_codes"]),
                ["any other code", "–", "was lost"],
            ],
        ),
        "states": _table(
            ["state", "serves", "meaning"],
            (
                [f"`{row['name']}`", "yes" if row.get("serves") else "", row["about"]]
                for row in data["states"]
            ),
        ),
        "events": _table(["event", "meaning"], ([f"`{r['name']}`", r["about"]] for r in data["events"])),
        "effects": _table(["effect", "meaning"], ([f"`{r['name']}`", r["about"]] for r in data["effects"])),
        "rules": _table(
            ["rule", "what it does → the next state"], ([f"`{name}`", a] for name, a in data["rules"].items())
        ),
        "transitions": _table(
            ["state", "event: rule"],
            (
                [f"`{state}`", ", ".join(f"`{event}`: {rule}" for event, rule in row.items())]
                for state, row in data["transitions"].items()
            ),
        ),
        "header": _table(
            ["at", "type", "field"], ([at, row["type"], row["about"]] for at, row in _placed(data["header"]))
        ),
        "block": _table(["part", "type", ""], _block_rows(data)),
        "ride": _table(
            ["at", "type", "field"],
            [
                *([at, row["type"], row["about"]] for at, row in _placed(data["ride"])),
                [
                    sum(BYTES[row["type"]] for row in data["ride"]),
                    "k bytes + pad",
                    "id, ASCII, zero-padded to four",
                ],
            ],
        ),
    }


def _messages(rows: Iterable[Data]) -> Iterator[list[object]]:
    for row in rows:
        yield ["binary" if row.get("binary") else f"`{_form(row)}`", row["about"]]


def _form(row: Data) -> str:
    """A control message as the page shows it."""
    fields = [f'"type":"{row["name"]}"']
    for field in row["fields"]:
        name, _, value = field.partition("=")
        fields.append(f'"{name.rstrip("?")}"{"?" * name.endswith("?")}{f":{value}" * bool(value)}')
    return f"{{{','.join(fields)}}}".replace("|", "\\|")


def _block_rows(data: Data) -> Iterator[list[object]]:
    columns, padding = data["block_columns"], "zero, to a multiple of four bytes from the start of the block"
    for part in ("gone", "set", "status", "moved"):
        rows = [row for row in columns if row["part"] == part]
        for i, row in enumerate(rows):
            kind = "varint" if row["type"] == "zigzag" else row["type"]
            about = f"zigzag of {row['about']}" if row["type"] == "zigzag" else row["about"]
            yield [part if i == 0 else "", f"{kind} × n_{part}", about]
        if part != "gone":
            yield [
                "",
                "0–3 × u8",
                padding + ("; counted in the bytes of the moved part" if part == "moved" else ""),
            ]


def _code(row: Data) -> str:
    return f"{row['code']}–{row['up_to']}, any other" if "up_to" in row else str(row["code"])


def _table(head: list[str], rows: Iterable[list[Any]]) -> list[str]:
    shown = [head, ["---"] * len(head), *rows]
    return [re.sub(r" +", " ", f"| {' | '.join(map(str, row))} |") for row in shown]


if __name__ == "__main__":
    sys.exit(write_or_check(files(load()), sys.argv[1:]))
