# SPDX-License-Identifier: Apache-2.0
"""Parallel commands: each line has its command's name, and a failing command does not stop others."""

import sys
from pathlib import Path

import pytest

from scripts import side_by_side

WAITS_FOR = "until [ -e {0} ]; do :; done; echo saw it"


async def test_commands_run_at_the_same_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    code = await side_by_side.main(
        [f"a=touch {one}; {WAITS_FOR.format(two)}", f"long=touch {two}; {WAITS_FOR.format(one)}"]
    )
    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"a    │ saw it", "long │ saw it"} <= set(lines)


async def test_one_that_fails_is_named_and_the_others_end(capsys: pytest.CaptureFixture[str]) -> None:
    code = await side_by_side.main(["bad=echo why >&2; exit 3", f"good={sys.executable} -c 'print(1)'"])
    printed = capsys.readouterr().out
    assert code == 1
    assert "bad  │ why" in printed
    assert "bad  │ FAILED (exit code 3) after 0 s" in printed
    assert "good │ 1" in printed
    assert "good │ passed" in printed
