# SPDX-License-Identifier: Apache-2.0
"""Which tokens are believed, and what they allow."""

from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.tokens import EVERYTHING, BadTokenError, Grant, Keys, Role

SECRET = "s" * 32
OLD = "o" * 40
NOW_MS = 1_750_000_000_000
NOW_S = NOW_MS // 1000


def signed(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims: dict[str, Any] = {"role": "viewer", "exp": NOW_S + 60} | changes
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, secret, algorithm)


def test_without_a_secret_everyone_may_do_everything() -> None:
    keys = Keys("")
    assert not keys.are_needed
    assert keys.read(None, NOW_MS) == keys.read("whatever", NOW_MS) == EVERYTHING


@pytest.mark.parametrize("role", Role)
def test_what_was_minted_is_read_back(role: Role) -> None:
    keys = Keys(SECRET)
    grant = Grant(role, NOW_MS + 3_600_000, "manhattan")
    assert keys.read(keys.mint(grant, NOW_MS), NOW_MS) == grant


def test_a_token_of_the_old_secret_counts_while_both_are_set() -> None:
    assert Keys(f"{SECRET}, {OLD}").read(signed(OLD), NOW_MS).role is Role.VIEWER
    with pytest.raises(BadTokenError, match="not signed here"):
        Keys(SECRET).read(signed(OLD), NOW_MS)


def test_it_ends_by_the_clock_that_was_handed_in() -> None:
    keys = Keys(SECRET)
    token = signed()
    assert keys.read(token, NOW_MS + 59_999).expires_ms == NOW_MS + 60_000
    with pytest.raises(BadTokenError, match="expired"):
        keys.read(token, NOW_MS + 60_000)


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (None, "needed"),
        ("", "needed"),
        ("nonsense", "can't be read"),
        ("a.b.c", "can't be read"),
        ("é.é.é", "can't be read"),
        ("x" * 3000, "too long"),
        (signed(exp=None), "exp"),
        (signed(role=None), "role"),
        (signed(role="king"), "role"),
        (signed(role=["viewer"]), "role"),
        (signed(exp="soon"), "times"),
        (signed(exp=True), "times"),
        (signed(exp=1e30), "times"),
        (signed(city=7), "city"),
        (signed(nbf=NOW_S + 5), "not valid yet"),
        (signed("t" * 32), "not signed here"),
        (signed("s" * 64, algorithm="HS512"), "can't be read"),
    ],
)
def test_what_is_not_believed(token: str | None, why: str) -> None:
    with pytest.raises(BadTokenError, match=why):
        Keys(SECRET).read(token, NOW_MS)


def test_a_token_that_claims_to_need_no_signature_is_not_believed() -> None:
    naked = jwt.encode({"role": "operator", "exp": NOW_S + 60}, "", "none")
    with pytest.raises(BadTokenError):
        Keys(SECRET).read(naked, NOW_MS)


def test_a_short_secret_is_refused_without_naming_it() -> None:
    with pytest.raises(ValueError, match="at least 32") as refused:
        Keys("hunter2")
    assert "hunter2" not in str(refused.value)


@given(st.text(max_size=300) | st.from_regex(r"[\w-]{1,60}\.[\w-]{0,60}\.[\w-]{0,60}", fullmatch=True))
def test_whatever_is_shown_as_a_token_is_one_or_is_refused(text: str) -> None:
    with pytest.raises(BadTokenError):
        Keys("s" * 32).read(text, 1_750_000_000_000)
