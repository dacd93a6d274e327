# SPDX-License-Identifier: Apache-2.0
"""`taxi demo --with FILE`: which files can be parts. tests/local/test_demo_with_services.py runs one."""

from pathlib import Path

import pytest

from taxi.runtime.machine_errors import LocalError
from taxistream.local.demo import DemoOptions, service_parts
from taxistream.local.own_services import own_service_parts


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gateway-1.py", "another part has it"),
        ("missing.py", "there is no such file"),
        (f"{'x' * 120}.py", "at most 100 characters"),
    ],
)
def test_a_file_that_cannot_be_a_part_is_refused(tmp_path: Path, name: str, why: str) -> None:
    options = DemoOptions(
        drivers=1, seed=1, load=0, gateways=1, dispatchers=1, host="127.0.0.1", port=1, data_dir=tmp_path
    )
    if name != "missing.py":
        (tmp_path / name).write_text("")
    with pytest.raises(LocalError, match=why):
        own_service_parts([tmp_path / name], options, {}, service_parts(options, {}))
