# SPDX-License-Identifier: Apache-2.0
"""The Python client plays every fault script, as the TypeScript client does."""

import json
from pathlib import Path

import pytest

from testing.virtual_time import SimLoop
from tests.unit.client.play import SCRIPTS, Player, play


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.json")), ids=lambda path: path.stem)
def test_the_client_does_what_the_script_expects(path: Path) -> None:
    play(path)


def test_a_client_that_was_too_busy_to_listen_keeps_the_line_that_spoke_meanwhile() -> None:
    steps = json.loads((SCRIPTS / "silence.json").read_text("utf-8"))["steps"]
    live, beat = steps[:6], steps[7]
    loop = SimLoop(1)

    async def scenario() -> None:
        player = Player({"city": "manhattan", "luck": 0.5})
        await player.go(live)
        loop.now += 6.0  # the whole process stood still
        await player.go([{"wait_ms": 1}, beat, {"wait_ms": 1_400}, {"wait_ms": 100}, {"opens": 2}])
        await player.end()

    try:
        loop.run_until_complete(scenario())
        assert loop.errors == []
    finally:
        loop.close()
