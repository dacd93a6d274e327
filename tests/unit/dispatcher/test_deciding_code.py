# SPDX-License-Identifier: Apache-2.0
"""The digest of the deciding code covers every module that has a part in a decision, and no other."""

import ast
from pathlib import Path

import pytest

from dispatcher import decision_config
from dispatcher.decision_config import DECIDING, code_digest

ROOT = Path(__file__).resolve().parents[3]


def source_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports_of(module: str) -> set[str]:
    """The modules of `taxi` and `dispatcher` that a module imports, anywhere in its source."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source_of(module).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return {
        name for name in found if name.split(".")[0] in {"taxi", "dispatcher"} and source_of(name).is_file()
    }


def closure(start: str) -> set[str]:
    seen: set[str] = set()
    to_do = {start}
    while to_do:
        module = to_do.pop()
        seen.add(module)
        to_do |= imports_of(module) - seen
    return seen


def test_the_digest_covers_what_the_core_imports() -> None:
    assert set(DECIDING) == closure("dispatcher.core")
    assert list(DECIDING) == sorted(DECIDING)


def test_it_covers_what_makes_the_bytes() -> None:
    assert {"taxi.messages.codec", "taxi.runtime.tracing"} <= set(DECIDING)


@pytest.mark.parametrize("module", DECIDING)
def test_the_digest_changes_with_each_module(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_digest("batched")
    source = source_of(module)
    read = Path.read_bytes

    def changed(path: Path) -> bytes:
        return read(path) + (b"# another line\n" if path.resolve() == source else b"")

    monkeypatch.setattr(Path, "read_bytes", changed)
    assert decision_config.code_digest("batched") != before
