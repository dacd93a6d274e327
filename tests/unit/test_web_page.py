# SPDX-License-Identifier: Apache-2.0
"""The page's routes, over the real city and over a small stand-in for the build's output."""

import gzip
import json
import os
import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from taxi.cities import CityPartition, parse
from taxi.roads.city import UnknownCityError, city_dir
from web.page import ENTRY, STATIC, routes


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """What a build leaves behind, as far as the shell is concerned."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "main-a1b2.js").write_text("console.log('taxi');" * 100)
    (tmp_path / "assets" / "main-c3d4.css").write_text("body { color: red }")
    (tmp_path / ".sources.sha256").write_text("not for anyone")
    entry = {"file": "assets/main-a1b2.js", "css": ["assets/main-c3d4.css"], "isEntry": True}
    (tmp_path / "manifest.json").write_text(json.dumps({"src/main.tsx": entry}))
    return tmp_path


def client(static: Path) -> httpx.AsyncClient:
    app = Starlette(routes=routes(parse("manhattan"), static))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://page")


async def test_the_shell_names_the_built_files_and_carries_the_city(static: Path) -> None:
    async with client(static) as page:
        answer = await page.get("/")
    assert answer.status_code == 200
    assert 'src="static/assets/main-a1b2.js"' in answer.text
    assert 'href="static/assets/main-c3d4.css"' in answer.text
    element = re.search(r'<script type="application/json" id="config">(.*?)</script>', answer.text, re.DOTALL)
    assert element is not None
    config = json.loads(element[1])
    assert config["city"] == "manhattan"
    assert config["basemap"] == "cities/manhattan/basemap"
    assert "openstreetmap.org/copyright" in config["attribution"]


async def test_the_shell_shows_what_it_is_before_any_script_ran(static: Path) -> None:
    async with client(static) as page:
        answer = await page.get("/")
    body = answer.text.split("<body>")[1]
    assert "<h1>Manhattan, live</h1>" in body
    assert "simulated" in body


async def test_the_page_may_run_nothing_but_its_own_files(static: Path) -> None:
    async with client(static) as page:
        answer = await page.get("/")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    assert not re.search(r"<script(?![^>]*(src=|application/json))", answer.text)
    assert " style=" not in answer.text


async def test_the_shell_is_asked_for_each_time_and_hashed_files_never(static: Path) -> None:
    async with client(static) as page:
        shell = await page.get("/")
        script = await page.get("/static/assets/main-a1b2.js")
    assert shell.headers["cache-control"] == "no-cache"
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["content-type"].startswith("text/javascript")


async def test_files_go_out_compressed_to_those_who_can_read_it(static: Path) -> None:
    async with client(static) as page:
        small = await page.get("/static/assets/main-a1b2.js", headers={"accept-encoding": "gzip"})
        plain = await page.get("/static/assets/main-a1b2.js", headers={"accept-encoding": "identity"})
    assert small.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert small.content == plain.content


async def test_a_file_is_read_when_first_asked_for_and_then_kept(static: Path) -> None:
    script = static / "assets" / "main-a1b2.js"
    async with client(static) as page:
        script.write_text("written after the gateway began")
        first = await page.get("/static/assets/main-a1b2.js")
        script.unlink()
        second = await page.get("/static/assets/main-a1b2.js")
    assert first.text == second.text == "written after the gateway began"


async def test_map_data_is_the_citys_own_and_is_sent_once(static: Path) -> None:
    raw = (city_dir("manhattan") / "basemap" / "places.geojson").read_bytes()
    async with client(static) as page:
        first = await page.get("/cities/manhattan/basemap/places.geojson")
        known = {"if-none-match": f"W/{first.headers['etag']}"}
        again = await page.get("/cities/manhattan/basemap/places.geojson", headers=known)
    assert first.content == raw
    assert first.headers["content-type"].startswith("application/geo+json")
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/static/none.js",
        "/static/.sources.sha256",
        "/static/../page.py",
        "/static/%2e%2e/page.py",
        "/cities/manhattan/graph.npz",
        "/cities/manhattan/LICENSE/../graph.npz",
        "/cities/elsewhere/city.json",
    ],
)
async def test_nothing_else_can_be_read(static: Path, path: str) -> None:
    async with client(static) as page:
        assert (await page.get(path)).status_code == 404


async def test_a_page_that_was_never_built_says_what_to_do(tmp_path: Path) -> None:
    async with client(tmp_path) as page:
        answer = await page.get("/")
    assert answer.status_code == 503
    assert "make setup" in answer.text


def test_an_unknown_city_is_named() -> None:
    with pytest.raises(UnknownCityError, match="atlantis"):
        routes([CityPartition("atlantis", 0, "atlantis")])


async def test_the_map_data_shrinks_to_what_the_readme_can_say(static: Path) -> None:
    total = 0
    async with client(static) as page:
        for name in ("land", "parks", "blocks", "roads", "places"):
            answer = await page.get(f"/cities/manhattan/basemap/{name}.geojson")
            total += len(gzip.compress(answer.content, 6))
    assert total < 400_000


async def test_the_scripts_of_a_first_view_weigh_no_more_than_the_page_says() -> None:
    manifest = STATIC / "manifest.json"
    if not manifest.is_file():
        if os.environ.get("CI") == "true":
            pytest.fail("the page is not built")
        pytest.skip("the page is not built: make setup")
    entry = json.loads(manifest.read_bytes())[ENTRY]
    scripts = [name for name in (entry["file"], *entry["assets"]) if name.endswith(".js")]
    weights = {name: len(gzip.compress((STATIC / name).read_bytes(), 6)) for name in scripts}
    assert len(weights) == 2, "the page's own script, and MapLibre's worker"
    assert sum(weights.values()) < 520_000, weights
