# SPDX-License-Identifier: Apache-2.0
"""Policies from a file or an installed package, and the example."""

import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from dispatcher.decision_config import code_digest, decision_config_of
from dispatcher.policies import POLICIES, Offer, plugins
from dispatcher.settings import Settings
from taxi.runtime.settings import SettingsError
from testing.dispatcher_markets import market

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "near.py"
ONE = """
class One:
    name = "one"

    def decide(self, market):
        return ()
"""
WRONG = """
class Asks(One):
    def __init__(self, what): ...

class Greedy(One):
    name = "greedy"

number = 3
"""


@pytest.fixture(autouse=True)
def _forget_plugins() -> Iterator[None]:
    with patch.dict(POLICIES), patch.dict(sys.modules):
        yield


def pairs(policy: str, eta_s: list[list[int]]) -> list[tuple[str, int]]:
    decided = plugins.load(policy).decide(market(eta_s))
    return [(offer.ride, offer.choice.driver) for offer in decided if isinstance(offer, Offer)]


def test_the_example_lets_a_rider_wait_for_a_nearer_taxi() -> None:
    eta_s = [[500, 700], [30, 80]]
    assert pairs("greedy", eta_s) == [("r1", 10), ("r0", 11)]
    assert pairs(f"{EXAMPLE}:Near", eta_s) == [("r1", 10)]


def test_a_policy_from_a_file_has_its_own_name_and_is_loaded_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(ONE)
    policy = plugins.load(f"{file}:One")
    assert policy.name == "one"
    assert plugins.load(f"{file}:One") is plugins.load("one") is POLICIES["one"]


def test_its_source_is_deciding_code(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(ONE)
    settings = Settings.from_env({"TAXI_POLICY": f"{file}:One"})
    first = decision_config_of(settings, "manhattan")
    assert first.policy == "one"
    assert first.code_digest == code_digest("one") != code_digest("batched")
    POLICIES.pop("one")
    file.write_text(ONE + "# changed\n")
    assert decision_config_of(settings, "manhattan").code_digest != first.code_digest


def test_a_policy_of_an_installed_package_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_policies.py").write_text(ONE)
    info = tmp_path / "their_policies-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-policies\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{plugins.ENTRY_POINTS}]\nones = their_policies:One\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert plugins.load("ones").name == "one"
    assert plugins.source_of("one") == ONE.encode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("patient", "one of batched, greedy, fifo, one is wanted, or FILE.py:CLASS"),
        ("mine.py:One", "mine.py is no file"),
        ("{0}/mine.txt:One", "is no Python file"),
        ("{0}/mine.py:Two", "has no 'Two'"),
        ("{0}/mine.py:", "has no ''"),
        ("{0}/broken.py:One", "cannot be run: SyntaxError"),
        ("{0}/mine.py:Asks", "cannot be made: TypeError"),
        ("{0}/mine.py:number", "a class with a `name` and a method `decide` is wanted"),
        ("{0}/mine.py:Greedy", "another policy has the name 'greedy'"),
        ("{0}/theirs.py:One", "another policy has the name 'one'"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_words(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ONE + WRONG)
    (tmp_path / "mine.txt").write_text(ONE)
    (tmp_path / "theirs.py").write_text(ONE)
    plugins.load(f"{tmp_path}/mine.py:One")
    (tmp_path / "broken.py").write_text("class One\n")
    with pytest.raises(SettingsError, match="TAXI_POLICY=") as caught:
        Settings.from_env({"TAXI_POLICY": text.format(tmp_path)})
    assert why in str(caught.value)
