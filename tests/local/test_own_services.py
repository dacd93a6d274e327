# SPDX-License-Identifier: Apache-2.0
"""Which module a demo runs as a service, wherever it is started."""

import subprocess
from pathlib import Path

import pytest

from taxistream.local.demo import DemoOptions, service_parts

ROOT = Path(__file__).parents[2]


def started_in(
    folder: Path, tmp_path: Path, kind: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    options = DemoOptions(
        drivers=1, seed=1, load=0, gateways=1, dispatchers=1, host="127.0.0.1", port=1, data_dir=tmp_path
    )
    part = next(part for part in service_parts(options, {}) if part.name.startswith(kind))
    environ = {**part.env(0), **variables}
    return subprocess.run(
        part.command(0), cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("kind", ["dispatcher", "simulator", "gateway"])
def test_a_service_on_the_python_path_takes_the_place_of_ours_in_a_checkout(
    tmp_path: Path, kind: str
) -> None:
    (tmp_path / f"{kind}.py").write_text("print('mine')")
    done = started_in(ROOT, tmp_path, kind, PYTHONPATH=str(tmp_path))
    assert (done.stdout.strip(), done.returncode) == ("mine", 0)


@pytest.mark.parametrize("decoy", ["dispatcher", "queue", "taxi"])
def test_what_lies_in_the_current_directory_takes_no_place(tmp_path: Path, decoy: str) -> None:
    (tmp_path / f"{decoy}.py").write_text("raise RuntimeError('decoy')")
    done = started_in(tmp_path, tmp_path, "dispatcher", TAXI_LOG_LEVEL="loud")
    assert done.returncode == 2
    assert "TAXI_LOG_LEVEL='loud'" in done.stderr
