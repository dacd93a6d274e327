# SPDX-License-Identifier: Apache-2.0
"""What a verifier samples of a gateway, and what it says of it."""

from dataclasses import replace

import pytest

from taxistream.tools.loadtest.judge import ReceivedUpdate
from taxistream.tools.oracle.city import OracleCity
from testing.loadtest_observations import city_of, observations, with_header
from verifier.gateway_check import AHEAD_S, TRUTHS, GatewayCheck

ONE = "gateway-1"


@pytest.fixture(scope="module")
def seen() -> tuple[OracleCity, list[ReceivedUpdate]]:
    """A city that was read to the end, and updates of it."""
    found = list(observations(3, 40))
    return city_of(found[-1][0]), [update for _, update in found]


def lying(update: ReceivedUpdate) -> ReceivedUpdate:
    return replace(update, message=with_header(update.message, lane_a=1))


def results(check: GatewayCheck) -> list[str]:
    return [check.result.gateway] if check.result is not None else []


def test_a_right_update_is_right(seen: tuple[OracleCity, list[ReceivedUpdate]]) -> None:
    city, updates = seen
    check = GatewayCheck(1.0)
    assert not check.judge(city, 0.0)
    check.saw(ONE, updates[0], 0.0)
    assert check.judge(city, 0.1)
    result = check.result
    assert result is not None
    assert (result.gateway, result.checked, result.wrong, result.rule) == (ONE, 1, 0, "")
    assert (result.loc, result.ev) == updates[0].to
    assert not check.judge(city, 0.2)


def test_a_wrong_update_is_named_by_its_rule_until_the_next_is_right(
    seen: tuple[OracleCity, list[ReceivedUpdate]],
) -> None:
    city, updates = seen
    check = GatewayCheck(1.0)
    check.saw(ONE, lying(updates[0]), 0.0)
    check.judge(city, 0.1)
    assert check.result is not None
    assert (check.result.rule, check.result.wrong) == ("wrong_hash", 1)
    assert "sent" in check.result.text
    check.saw(ONE, updates[1], 1.0)
    check.judge(city, 1.1)
    assert (check.result.rule, check.result.wrong, check.result.checked) == ("", 1, 2)


def test_samples_are_apart_but_the_first_of_another_gateway_is_taken(
    seen: tuple[OracleCity, list[ReceivedUpdate]],
) -> None:
    city, updates = seen
    check = GatewayCheck(1.0)
    for step, update in enumerate(updates[:20]):  # ten a second
        check.saw(ONE, update, step / 10)
        check.judge(city, step / 10)
    assert check.result is not None
    assert check.result.checked == 2
    check.saw("gateway-2", updates[20], 1.95)
    assert results(check) == []
    check.judge(city, 1.95)
    assert results(check) == ["gateway-2"]


def test_what_the_client_found_by_itself_comes_with_the_next_result(
    seen: tuple[OracleCity, list[ReceivedUpdate]],
) -> None:
    city, updates = seen
    check = GatewayCheck(1.0)
    check.saw(ONE, updates[0], 0.0)
    check.broke("silence", "a busy machine")
    check.broke("chain", "an update from (1, 2) for a client at (0, 0)")
    check.judge(city, 0.1)
    assert check.result is not None
    assert (check.result.rule, check.result.wrong) == ("chain", 1)
    assert "silence" not in TRUTHS


def test_an_update_that_stays_ahead_of_the_log_is_wrong(
    seen: tuple[OracleCity, list[ReceivedUpdate]],
) -> None:
    city, updates = seen
    check = GatewayCheck(1.0)
    check.saw(ONE, replace(updates[-1], to=(10**9, updates[-1].to[1])), 0.0)
    assert not check.judge(city, AHEAD_S - 0.1)
    assert check.judge(city, AHEAD_S)
    assert check.result is not None
    assert check.result.rule == "ahead_of_log"
