# SPDX-License-Identifier: Apache-2.0
"""Two spellings of one origin are one, and what is no origin is refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taxi.runtime.origins import Origin, Place, parse_origin, parse_origins, parse_place


@pytest.mark.parametrize(
    "text",
    [
        "https://taxi.example",
        "HTTPS://Taxi.Example",
        "https://taxi.example:443",
        "https://taxi.example.",
        "https://taxi.example.:443",
        "https://taxi.example:",
    ],
)
def test_spellings_of_one_origin_are_equal(text: str) -> None:
    assert parse_origin(text) == Origin("https", "taxi.example", 443)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://taxi.example", "taxi.example"),
        ("https://taxi.example", "taxi.example:443"),
        ("https://taxi.example", "TAXI.example.:443"),
        ("https://taxi.example:443", "taxi.example"),
        ("http://taxi.example", "taxi.example:80"),
        ("http://taxi.example:8000", "taxi.example:8000"),
        ("http://[::1]:8000", "[0:0:0:0:0:0:0:1]:8000"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("https://xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_a_page_and_its_own_host_belong_together(origin: str, host: str) -> None:
    assert parse_origin(origin).is_at(parse_place(host))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://taxi.example", "taxi.example:8443"),
        ("https://taxi.example", "taxi.example:80"),
        ("https://taxi.example:8443", "taxi.example"),
        ("https://evil.example", "taxi.example"),
        ("https://taxi.example.evil.example", "taxi.example"),
        ("http://127.0.0.1:8001", "127.0.0.1:8000"),
        ("http://localhost:8000", "127.0.0.1:8000"),
        ("chrome-extension://abcdef", "abcdef"),
    ],
)
def test_a_page_and_another_host_do_not(origin: str, host: str) -> None:
    assert not parse_origin(origin).is_at(parse_place(host))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "null",
            "taxi.example",
            "//taxi.example",
            "http://",
            "http://[",
            "http://[::1",
            "http://[::1]x",
        ),
        *("http://a b", "http://a/b", "http://a@b", "http://a:b", "http://a:0", "http://a:65536"),
        *("http://a..b", "http://[fe80::1%25eth0]", "http://é.example", "http://-a", "http://a,b", "://a"),
        *("1://a", "http://a?b", "http://" + "a" * 300),
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_origin(text)


@pytest.mark.parametrize("text", ["", "[", "[]", "a b", "a:b", "a/b", "a:1:2", "::1", "é.example", "a:80 "])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_place(text)


@given(st.text())
@example("[::1]:80")
@example("[v1.x]")
@example("\u0130")
def test_reading_a_host_or_an_origin_raises_nothing_else(text: str) -> None:
    for parse in (parse_place, parse_origin, parse_origins):
        try:
            parse(text)
        except ValueError:
            continue


@given(
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?(\.[a-z0-9]{1,9}){0,3}", fullmatch=True),
    st.integers(1, 65535),
)
def test_a_normal_form_reads_as_itself(host: str, port: int) -> None:
    place = parse_place(f"{host}:{port}")
    assert parse_place(str(place)) == place == Place(host, port)
    origin = parse_origin(f"https://{host}:{port}")
    assert parse_origin(str(origin)) == origin


def test_a_setting_may_be_written_in_any_way_that_people_write_origins() -> None:
    written = (
        "https://taxi.example/, HTTP://Localhost:3000,https://bücher.example:8443, capacitor://localhost,"
    )
    assert {str(origin) for origin in parse_origins(written)} == {
        "https://taxi.example",
        "http://localhost:3000",
        "https://xn--bcher-kva.example:8443",
        "capacitor://localhost",
    }


@pytest.mark.parametrize("text", ["https://straße.example", "https://a\u200db.example", "https://é..example"])
def test_a_name_that_browsers_and_python_write_differently_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"xn--|no host"):
        parse_origins(text)
