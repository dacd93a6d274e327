# SPDX-License-Identifier: Apache-2.0
"""The limits of a process: raised as far as they go, or named."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import resource, sys
from taxi.runtime.machine_errors import LocalError
from taxistream.local import limits
limits.raise_limits()
try:
    limits.check_limits()
except LocalError as error:
    print(error)
print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_FSIZE))
"""
NONE = resource.RLIM_INFINITY
MIB = 1 << 20


def said(descriptors: tuple[int, int], file_size: tuple[int, int] = (NONE, NONE)) -> str:
    """What a process with these limits says, and which ones it has then."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, descriptors)
        resource.setrlimit(resource.RLIMIT_FSIZE, file_size)

    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        preexec_fn=limit,
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(("soft", "hard", "then"), [(64, 4096, 4096), (1024, 1024, 1024), (512, 512, 512)])
def test_descriptors_are_raised_as_far_as_allowed(soft: int, hard: int, then: int) -> None:
    assert said((soft, hard)).startswith(f"({then}, {hard})")


@pytest.mark.parametrize("limit", [64, 256, 511])
def test_too_few_descriptors_are_named_with_what_to_do(limit: int) -> None:
    assert f"The limit on open files is {limit}; a demo needs 512." in said((limit, limit))
    assert "`ulimit -n`" in said((limit, limit))


def test_a_limit_on_file_sizes_is_raised_or_named() -> None:
    assert f"({NONE}, {NONE})\n" in said((1024, 4096), (MIB, NONE))
    assert "The limit on the size of a file is 1 MiB; a demo needs 64 MiB." in said((1024, 4096), (MIB, MIB))


def test_a_demo_and_the_doctor_say_it_before_anything_is_made(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    for arguments in (["demo", "--no-browser", "--port", "28123"], ["doctor", "--port", "28123"]):
        done = subprocess.run(
            [sys.executable, "-m", "taxistream", *arguments],
            preexec_fn=limit,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "The limit on open files is 64; a demo needs 512." in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
