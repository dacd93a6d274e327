# SPDX-License-Identifier: Apache-2.0
"""Selects a program's settings from the environment variables.

Three kinds of variables begin with `TAXI_` and are not settings of the program:

1. Service links of Kubernetes. For each Service of its namespace a container gets variables such as
   `TAXI_GATEWAY_SERVICE_HOST` and `TAXI_GATEWAY_PORT=tcp://10.0.0.1:8000`. A Service called `taxi` even sets
   `TAXI_PORT`, which is the name of a setting. They are ignored with a note.
2. Settings of other services, including the user's own. They are ignored; unknown ones with a note.
3. Misspelt settings. If they were ignored, the program would run with a value that the user did not choose,
   so they are an error.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

PREFIX: Final = "TAXI_"
OTHERS: Final = "TAXI_OTHER_SETTINGS"
"""A variable that lists further variables, comma-separated, of the user's own services."""
_KAFKA: Final = "KAFKA_"
_LINK_NAME: Final = re.compile(
    r".+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_LINK_VALUE: Final = re.compile(r"(tcp|udp|sctp)://\S+:[0-9]+")
_SHORT: Final = 4
"""Names of up to so many letters count as misspelt with one edit, longer ones with at most two."""


class Note(NamedTuple):
    """Variables that were ignored, and why; one log line."""

    variables: str
    why: str

    def __str__(self) -> str:
        return f"{self.variables}: {self.why}"


class UnknownVariableError(ValueError):
    """A variable looks like a misspelt setting. The text names both."""


@dataclass
class Picked:
    """The result of `pick`."""

    values: dict[str, str]
    """Variable → value of the program's own settings. Empty variables are left out."""
    notes: list[Note] = field(default_factory=list)


def pick(environ: Mapping[str, str], own: Collection[str], known: Collection[str]) -> Picked:
    """Return the variables of `environ` that are in `own`.

    Args:
        environ: All environment variables.
        own: The variables of the program's settings.
        known: Variables of other programs that may be set, too.

    Raises:
        UnknownVariableError: A variable is in neither and looks like a misspelling of one.
    """
    given = {key: value for key, value in environ.items() if key in own and value}
    values = {key: value for key, value in given.items() if not _is_link_value(key, value)}
    notes = []
    if links := sorted(key for key, value in environ.items() if is_service_link(key, value, own)):
        notes.append(Note(", ".join(links), _why_links(links, own)))
    others = {name.strip() for name in environ.get(OTHERS, "").split(",")}
    known = {*own, *known, *others, OTHERS}
    unknown = [key for key in sorted(environ) if key.startswith(PREFIX) and key not in {*known, *links}]
    for key in unknown:
        if near := nearest(key, known):
            hint = f"If another program reads it, list it in {OTHERS}."
            raise UnknownVariableError(f"{key}: unknown setting. Did you mean {near}? {hint}")
    if unknown:
        notes.append(Note(", ".join(unknown), "ignored: no setting of this program"))
    return Picked(values, notes + _misspelt_kafka(environ, own))


def _misspelt_kafka(environ: Mapping[str, str], own: Collection[str]) -> list[Note]:
    """Notes on KAFKA_* variables that look misspelt; no error, because other programs read KAFKA_*, too."""
    ours = [name for name in own if name.startswith(_KAFKA)]
    theirs = [key for key in sorted(environ) if key.startswith(_KAFKA) and key not in own]
    near = [(key, nearest(key, ours)) for key in theirs]
    return [Note(key, f"ignored: this program reads {name}") for key, name in near if name]


def is_service_link(name: str, value: str, own: Collection[str] = ()) -> bool:
    """Whether this variable is a service link of Kubernetes, or a link of Docker.

    If the name is a setting of the program (`own`), its value decides: a link looks like tcp://host:port.
    """
    if not name.startswith(PREFIX):
        return False
    return _is_link_value(name, value) or (name not in own and bool(_LINK_NAME.fullmatch(name)))


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known variable that `name` is probably a misspelling of, or None. Prefixes are not compared."""
    rest, found = _rest(name).upper(), []
    for candidate in known:
        wanted = _rest(candidate)
        limit = 1 if len(wanted) <= _SHORT else 2
        if abs(len(wanted) - len(rest)) <= limit and (apart := edits(rest, wanted)) <= limit:
            found.append((apart, candidate))
    return min(found)[1] if found else None


def edits(one: str, two: str) -> int:
    """The optimal string alignment distance: insertions, deletions, replacements, swaps of neighbours."""
    before: list[int] = []
    last = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(two, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == two[j - 2] and b == one[i - 2]:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]


def _is_link_value(name: str, value: str) -> bool:
    return name.startswith(PREFIX) and name.endswith("_PORT") and bool(_LINK_VALUE.fullmatch(value))


def _why_links(links: list[str], own: Collection[str]) -> str:
    settings = [name for name in links if name in own]
    defaults = f", and the default of {', '.join(settings)} is used" if settings else ""
    return f"ignored: set by Kubernetes for its Services (enableServiceLinks){defaults}"


def _rest(name: str) -> str:
    """The name without its prefixes, so that TAXI_KAFKA_… and KAFKA_… compare as equal."""
    return name.removeprefix(PREFIX).removeprefix(_KAFKA)
