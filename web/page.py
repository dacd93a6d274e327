# SPDX-License-Identifier: Apache-2.0
"""The page: its shell, its compiled scripts and styles, and the city's map data, for the gateway to mount."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from taxi.cities import CityPartition
from taxi.roads.city import CityInfo, city_dir, load_city
from web.assets import ASK_AGAIN, FOR_EVER, Assets, folder_files

HERE = Path(__file__).parent
STATIC = HERE / "static"
ENTRY = "src/main.tsx"
"""The page's first module, as the build's manifest names it."""

# The page runs nothing but its own files, MapLibre's worker among them; styles are set through the DOM only.
SOURCES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "worker-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{what} {whence}" for what, whence in SOURCES.items()),
    "Cache-Control": ASK_AGAIN,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

Endpoint = Callable[[Request], Awaitable[Response]]


def routes(cities: Sequence[CityPartition], static: Path = STATIC) -> list[BaseRoute]:
    """The page of some cities; it opens with the first. Files are read when first asked for, then kept.

    Raises taxi.roads.city.UnknownCityError. Where the scripts were never built, `/` says what to do.
    """
    infos = {city.name: load_city(city.folder) for city in cities}
    return [
        Route("/", _shell(infos, static)),
        Route("/static/{path:path}", _files(Assets(folder_files(static), FOR_EVER))),
        *(Route(f"/cities/{city.name}/{{path:path}}", _files(_map_data(city))) for city in cities),
    ]


def _map_data(city: CityPartition) -> Assets:
    """The layers of a city's map, and its description."""
    folder = city_dir(city.folder)
    map_data = {f"basemap/{name}": path for name, path in folder_files(folder / "basemap").items()}
    map_data["city.json"] = folder / "city.json"
    return Assets(map_data, ASK_AGAIN)


def _shell(infos: Mapping[str, CityInfo], static: Path) -> Endpoint:
    """The HTML around the script: the same for everyone, so it is rendered once, for the first who asks."""

    @cache
    def rendered() -> tuple[str, int]:
        return _render(infos, static)

    async def shell(request: Request) -> Response:
        html, status = await asyncio.to_thread(rendered)
        return HTMLResponse(html, status, HEADERS)

    return shell


def _render(infos: Mapping[str, CityInfo], static: Path) -> tuple[str, int]:
    """The page, or what to do where it was never built; and the status that goes with it."""
    from jinja2 import Environment, FileSystemLoader, select_autoescape  # noqa: PLC0415 - a gateway boots without

    templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=select_autoescape())
    manifest = static / "manifest.json"
    if not manifest.is_file():
        return templates.get_template("not_built.html").render(), 503
    entry = json.loads(manifest.read_bytes())[ENTRY]
    return templates.get_template("page.html").render(config=_config(infos), **_tags(entry)), 200


def _config(infos: Mapping[str, CityInfo]) -> dict[str, Any]:
    """What the page needs to know before the stream speaks: the first city, and all that it can switch to."""
    cities = [_city(name, info) for name, info in infos.items()]
    return {**cities[0], "cities": cities}


def _city(name: str, info: CityInfo) -> dict[str, Any]:
    # Two cities on the same streets are distinguished by their names.
    title = info.title if name == info.name else f"{info.title} ({name})"
    return {
        "city": name,
        "title": title,
        "land": info.title,
        "bbox": info.bbox,
        "center": info.center,
        "zoom": info.zoom,
        "attribution": info.attribution,
        "basemap": f"cities/{name}/basemap",
    }


def _tags(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"script": entry["file"], "styles": entry.get("css", [])}


def _files(files: Assets) -> Endpoint:
    async def serve(request: Request) -> Response:
        file = await files.get(request.path_params["path"])
        if file is None:
            raise HTTPException(404)
        return file.response(request)

    return serve
