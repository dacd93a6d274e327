# SPDX-License-Identifier: Apache-2.0
"""The page: its shell, its compiled scripts and styles, and the city's map data, for the gateway to mount."""

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from taxi.roads_city import CityInfo, city_dir, load_city
from web.assets import ASK_AGAIN, FOR_EVER, Asset, read_folder

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


def routes(city: str, static: Path = STATIC) -> list[BaseRoute]:
    """The page of a city. Everything is read here, so that serving never waits for a disk.

    Raises taxi.roads_city.UnknownCityError. Where the scripts were never built, `/` says what to do.
    """
    info = load_city(city)
    folder = city_dir(city)
    map_data = {f"basemap/{name}": file for name, file in read_folder(folder / "basemap", ASK_AGAIN).items()}
    map_data["city.json"] = Asset.read(folder / "city.json", ASK_AGAIN)
    return [
        Route("/", _shell(info, static)),
        Route("/static/{path:path}", _files(read_folder(static, FOR_EVER))),
        Route(f"/cities/{info.name}/{{path:path}}", _files(map_data)),
    ]


def _shell(info: CityInfo, static: Path) -> Endpoint:
    """The HTML around the script: the same for everyone, so it is rendered once."""
    templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=select_autoescape())
    manifest = static / "manifest.json"
    if manifest.is_file():
        entry = json.loads(manifest.read_bytes())[ENTRY]
        html, status = templates.get_template("page.html").render(config=_config(info), **_tags(entry)), 200
    else:
        html, status = templates.get_template("not_built.html").render(), 503

    async def shell(request: Request) -> Response:
        return HTMLResponse(html, status, HEADERS)

    return shell


def _config(info: CityInfo) -> dict[str, Any]:
    """What the page needs to know before the stream speaks."""
    return {
        "city": info.name,
        "title": info.title,
        "bbox": info.bbox,
        "center": info.center,
        "zoom": info.zoom,
        "attribution": info.attribution,
        "basemap": f"/cities/{info.name}/basemap",
    }


def _tags(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"script": entry["file"], "styles": entry.get("css", [])}


def _files(files: Mapping[str, Asset]) -> Endpoint:
    async def serve(request: Request) -> Response:
        file = files.get(request.path_params["path"])
        if file is None:
            return PlainTextResponse("no such file", 404)
        return file.response(request)

    return serve
