# SPDX-License-Identifier: Apache-2.0
"""One word, one meaning: retired words stay out of identifiers, and class names have one definition."""

import pytest

from scripts.vocabulary import (
    ONE_MEANING,
    Source,
    ambiguous_names,
    product,
    retired_identifiers,
    retired_words,
    shared_names,
    sources,
)


def test_no_identifier_holds_a_retired_word() -> None:
    assert retired_words()
    assert retired_identifiers(sources(".py", ".ts", ".tsx")) == []


def test_no_class_name_has_two_definitions_with_different_meanings() -> None:
    assert ambiguous_names(sources(".py")) == []


def test_every_exception_is_needed() -> None:
    assert set(shared_names(product(sources(".py")))) >= set(ONE_MEANING)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", "class Mandate: ..."),
        ("a.py", "def open_desk(): ..."),
        ("a.py", "theTurnstile = 1"),
        ("a.ts", "const leashLength = 1;"),
        ("a.py", "is_told = begin_anew(nobody)"),
        ("tests/a.py", "def test_whoever_stands_still(): ..."),
    ],
)
def test_a_retired_word_is_found(name: str, text: str) -> None:
    assert retired_identifiers([Source(name, text)])


@pytest.mark.parametrize(
    ("name", "text"), [("a.py", 'label = "a desk"  # mandate'), ("a.ts", 'const label = "desk"; // mandate')]
)
def test_strings_comments_and_longer_words_are_no_finding(name: str, text: str) -> None:
    assert retired_identifiers([Source(name, text)]) == []


def test_a_second_definition_is_found() -> None:
    twice = [Source("a/one.py", "class Pump: ..."), Source("b/two.py", "class Pump: ...")]
    assert ambiguous_names(twice) == ["Pump: a/one.py, b/two.py"]
    assert shared_names(twice) == {"Pump": ["a/one.py", "b/two.py"]}
