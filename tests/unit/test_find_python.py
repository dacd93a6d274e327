# SPDX-License-Identifier: Apache-2.0
"""Which Python `make` takes: one that the locked packages are for."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "find_python.sh"


def stand_in(folder: Path, name: str, version: tuple[int, int]) -> None:
    """A program that answers the script's questions as a Python of this version does."""
    path = folder / name
    path.write_text(
        f"""#!/bin/sh
case "$2" in
  *version_info\\[:2\\]\\)*) test "$2" != "${{2#*print}}" && echo "{version[0]}.{version[1]}" ;;
  *"<= (3, 14)"*) test {version[1]} -ge 11 -a {version[1]} -le 14 ;;
esac
"""
    )
    path.chmod(0o755)


def found(folder: Path) -> "subprocess.CompletedProcess[str]":
    environ = {"PATH": str(folder)} | {key: os.environ[key] for key in ("HOME",) if key in os.environ}
    return subprocess.run(
        ["/bin/sh", SCRIPT], env=environ, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("minor", [11, 12, 13, 14])
def test_a_python_that_packages_are_locked_for_is_taken(tmp_path: Path, minor: int) -> None:
    stand_in(tmp_path, "python3", (3, minor))
    assert found(tmp_path).stdout.strip() == str(tmp_path / "python3")


@pytest.mark.parametrize("minor", [10, 15])
def test_an_older_or_newer_one_is_named_and_passed_over(tmp_path: Path, minor: int) -> None:
    stand_in(tmp_path, "python3", (3, minor))
    refused = found(tmp_path)
    assert refused.returncode == 1
    assert f"python3 (3.{minor})" in refused.stderr
    stand_in(tmp_path, "python3.12", (3, 12))
    assert found(tmp_path).stdout.strip() == str(tmp_path / "python3.12")
