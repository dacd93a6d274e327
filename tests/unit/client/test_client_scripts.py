# SPDX-License-Identifier: Apache-2.0
"""The Python client plays every fault script, as the TypeScript client does."""

from pathlib import Path

import pytest

from tests.unit.client.play import SCRIPTS, play


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.json")), ids=lambda path: path.stem)
def test_the_client_does_what_the_script_expects(path: Path) -> None:
    play(path)
