# SPDX-License-Identifier: Apache-2.0
"""Whatever the environment holds, settings are read, or refused by a line that names a variable."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scripts.fuzz_settings import KINDS, SETTINGS, complaint, environment
from taxi.runtime.environment import is_service_link, nearest, pick
from taxi.runtime.settings import KNOWN, defaults

# What an operating system can hold as a value: everything but NUL, and bytes that are not UTF-8.
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.binary().map(
    lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_any_value_of_any_setting(kind: str, data: st.DataObject) -> None:
    names = st.sampled_from(sorted({*defaults(SETTINGS[kind]), *KNOWN}))
    environ = data.draw(st.dictionaries(names, VALUES, max_size=3))
    assert complaint(kind, environ) is None


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32))
def test_values_that_are_nearly_right(kind: str, seed: int) -> None:
    assert complaint(kind, environment(random.Random(seed), kind)) is None


@example(name="KAFKA_SSL_CAFILE", value="x" * 300)
@example(name="TAXI_PARTS_DIR", value="x" * 300)
@example(name="TAXI_CITY", value="\udcff")
@example(name="TAXI_ALLOWED_ORIGINS", value="https://\u0130.example")
@example(name="TAXI_ALLOWED_ORIGINS", value="https://" + "é" * 70)
@given(name=st.sampled_from(sorted(defaults(SETTINGS["gateway"]))), value=VALUES)
def test_what_a_fuzzer_once_found(name: str, value: str) -> None:
    assert complaint("gateway", {name: value}) is None


@given(st.dictionaries(st.text().map(lambda text: f"TAXI_{text}"), VALUES))
def test_variables_of_others_end_nothing_unless_they_look_like_a_misspelt_setting(
    environ: dict[str, str],
) -> None:
    own = defaults(SETTINGS["gateway"]).keys()
    looks_misspelt = any(
        nearest(name, {*own, *KNOWN}) and not is_service_link(name, value)
        for name, value in environ.items()
        if name not in {*own, *KNOWN}
    )
    if not looks_misspelt:
        assert pick(environ, own, KNOWN).values.keys() <= own
