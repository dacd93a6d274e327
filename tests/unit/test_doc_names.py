# SPDX-License-Identifier: Apache-2.0
"""Names in pages, docstrings and comments are those of the code."""

import pytest

from scripts.doc_names import NOT_OURS, is_known, known_words, main, unknown_names
from scripts.vocabulary import Source

CODE = Source(
    "city/fold.py",
    '"""`OldFold` was its name."""\nclass CityFold:\n    def fold_rows(self) -> None: ...  # `old_rows`\n'
    'RULES = {"taxi_rows_total": f"map_{CityFold}"}\n',
)
PATHS = {"city/fold.py"}


def test_every_name_in_the_repository_exists(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    assert capsys.readouterr().out.strip() == ""


@pytest.mark.parametrize(
    "name",
    [
        "CityFold",
        "CityFold.fold_rows",
        "fold_rows()",
        "taxi_rows_total",
        "fold.py",
        "city/fold.py",
        "lag",
        "a b",
    ],
)
def test_a_name_of_the_code_is_known_and_so_is_what_is_no_name(name: str) -> None:
    page = Source("docs/page.md", f"See `{name}`.")
    assert unknown_names([page], known_words([CODE]), PATHS) == []


@pytest.mark.parametrize(
    "name", ["OldFold", "Fold", "CityFold.old_rows", "old_rows", "wipe()", "old_rows(now_s)", "town/fold.py"]
)
def test_a_name_that_the_code_does_not_have_is_found_on_its_line(name: str) -> None:
    words = known_words([CODE])
    page = Source("docs/page.md", f"# Rows\n\nSee `{name}`.")
    assert unknown_names([page], words, PATHS) == [f"docs/page.md:3 {name}"]
    code = Source("city/other.py", f'"""Rows.\n\nSee `{name}`.\n"""\n')
    assert unknown_names([code], words, PATHS) == [f"city/other.py:3 {name}"]
    script = Source("web/other.ts", f"/** Rows.\n *\n * See `{name}`. */\nconst rows = `{name}`;\n")
    assert unknown_names([script], words, PATHS) == [f"web/other.ts:3 {name}"]


def test_docstrings_and_comments_make_no_name_known() -> None:
    assert [found.split()[-1] for found in unknown_names([CODE], known_words([CODE]), PATHS)] == [
        "OldFold",
        "old_rows",
    ]


def test_code_blocks_and_retired_words_of_a_page_are_not_checked() -> None:
    page = Source("docs/page.md", "```\n`OldFold`\n```\n\n## Retired\n\n| `old_rows` | rows |\n")
    assert unknown_names([page], known_words([CODE]), PATHS) == []


def test_names_of_others_are_listed_with_what_they_are() -> None:
    assert all(NOT_OURS.values())
    assert is_known("__consumer_offsets", set(), set())
