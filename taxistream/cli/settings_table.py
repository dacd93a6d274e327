# SPDX-License-Identifier: Apache-2.0
"""A service's settings as a table: variable, default, meaning. Read from its `Settings` struct."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class SettingRow:
    """One environment variable."""

    variable: str
    default: str
    meaning: str


def settings(kind: str) -> tuple[SettingRow, ...]:
    """All settings of a service, its own first."""
    from taxi.runtime.settings import Settings, defaults, variable  # noqa: PLC0415 - `taxi --help` does without
    from taxistream.cli.service_settings import SETTINGS  # noqa: PLC0415 - as above

    service = SETTINGS[kind]()
    meanings = {
        variable(name): text for owner in reversed(service.__mro__) for name, text in _documented(owner)
    }
    shared = set(defaults(Settings))
    ordered = sorted(defaults(service).items(), key=lambda item: item[0] in shared)
    return tuple(SettingRow(name, _written(value), meanings.get(name, "")) for name, value in ordered)


def table(kind: str) -> str:
    """The settings as text, two columns."""
    lines = []
    for setting in settings(kind):
        name = f"{setting.variable}={setting.default}"
        lines += [f"  {name}", *(f"      {line}" for line in textwrap.wrap(setting.meaning, 88))]
    return "\n".join(["Settings (environment variables, with their defaults):", "", *lines])


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _documented(struct: type) -> Iterator[tuple[str, str]]:
    """Field → the string literal below it."""
    try:
        source = textwrap.dedent(inspect.getsource(struct))
    except (OSError, TypeError):  # built in
        return
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    for field, text in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            yield field.target.id, " ".join(text.value.value.split())
