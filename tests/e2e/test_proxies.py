# SPDX-License-Identifier: Apache-2.0
"""The proxies of docs/proxies.md, and the compose file's, before a real gateway. Those that are installed."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from playwright.sync_api import Browser
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from taxi.client.protocol import SUBPROTOCOL
from taxistream.local.ports import PortPool
from testing.live_demo import LiveDemo, live_demo, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "proxies.md").read_text(encoding="utf-8")
NAME = "taxi.example"
RIDES_PER_MINUTE = 3
DRIVERS = 40


def configuration(language: str, *, path: bool) -> str:
    """A block of the page: the first one of its language, or the one under a path."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    found: str = blocks[int(path)]
    return found


class Proxy:
    """A running proxy before the city."""

    def __init__(self, port: int) -> None:
        self.port = port

    def client(self, address: str = "127.0.0.1", host: str = NAME) -> httpx.Client:
        """A client with this address, of this machine, that asks for `host`."""
        transport = httpx.HTTPTransport(local_address=address)
        base = f"http://127.0.0.1:{self.port}"
        return httpx.Client(transport=transport, base_url=base, headers={"host": host})

    def is_up(self) -> bool:
        """Whether it passes on what a ready gateway answers."""
        try:
            asked = [(path, host) for path in ("/readyz", "/taxi/readyz") for host in (NAME, "127.0.0.1")]
            return any(self._answers(path, host) for path, host in asked)
        except httpx.TransportError:
            return False

    def _answers(self, path: str, host: str) -> bool:
        with self.client(host=host) as web:
            return web.get(path).status_code == 200


@contextmanager
def running(kind: str, text: str, city: LiveDemo, port: int, folder: Path) -> Iterator[Proxy]:
    """The proxy with a configuration of the page, before the city. Skips if it is not installed."""
    program = shutil.which(kind) or shutil.which(kind, path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip(f"no {kind} here: its configuration is NOT tested")
    gateway = city.url.removeprefix("http://")
    text = text.replace("127.0.0.1:8000", gateway)
    if kind == "nginx":
        text = text.replace("listen 80;", f"listen 127.0.0.1:{port};")
        places = " ".join(
            f"{what}_temp_path {folder};" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        text = f"http {{ access_log off; {places}\n{text}}}"
        text = f"daemon off; pid {folder}/pid; error_log stderr; events {{}} {text}"
        command = [program, "-c", str(folder / "conf"), "-p", str(folder), "-e", "stderr"]
    elif kind == "haproxy":
        text = re.sub(r"bind :\d+", f"bind 127.0.0.1:{port}", text)
        command = [program, "-db", "-f", str(folder / "conf")]
    else:
        text = text.replace(f"http://{NAME} {{", f"http://{NAME}:{port} {{\n    bind 127.0.0.1")
        text = "{\n    admin off\n}\n" + text
        command = [program, "run", "--adapter", "caddyfile", "--config", str(folder / "conf")]
    (folder / "conf").write_text(text, encoding="utf-8")
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=folder, env={"HOME": str(folder)})
        try:
            proxy = Proxy(port)
            until(lambda: proxy.is_up() or process.poll() is not None, 30, f"{kind} before the city")
            assert process.poll() is None, (folder / "out").read_text()
            yield proxy
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory, ports: PortPool) -> Iterator[LiveDemo]:
    """A small city in one process. Its gateway trusts proxies of this machine and limits every address."""
    home = tmp_path_factory.mktemp("proxies") / "data"
    environ = {
        "TAXI_TRUSTED_PROXIES": "127.0.0.1",
        "TAXI_LIMIT_LOOPBACK": "true",
        "TAXI_ADDRESS_RIDES_PER_MINUTE": str(RIDES_PER_MINUTE),
    }
    with live_demo(home, ports.take(), "--bus", "memory", "--drivers", str(DRIVERS), **environ) as demo:
        yield demo


KINDS = ("nginx", "haproxy", "caddy")


@pytest.fixture(params=KINDS)
def proxy(request: pytest.FixtureRequest, city: LiveDemo, ports: PortPool, tmp_path: Path) -> Iterator[Proxy]:
    """Each proxy of the page at the root of a host."""
    text = configuration(request.param, path=False)
    with running(request.param, text, city, ports.take(), tmp_path) as started:
        yield started


@pytest.fixture(params=KINDS)
def proxy_under_a_path(
    request: pytest.FixtureRequest, city: LiveDemo, ports: PortPool, tmp_path: Path
) -> Iterator[Proxy]:
    """Each proxy of the page with the city under `/taxi/`."""
    text = configuration(request.param, path=True)
    with running(request.param, text, city, ports.take(), tmp_path) as started:
        yield started


async def cuts(proxy: Proxy, path: str, origin: str, *, count: int, host: str = NAME) -> int:
    """Open the socket as a page would, and count cuts. Raises InvalidStatus if it is refused."""
    hello = '{"type":"hello","v":1,"city":"manhattan"}'
    async with (
        asyncio.timeout(30),
        connect(
            f"ws://{host}{path}",
            host="127.0.0.1",
            port=proxy.port,
            origin=Origin(origin),
            subprotocols=[Subprotocol(SUBPROTOCOL)],
        ) as socket,
    ):
        await socket.send(hello)
        found = 0
        async for message in socket:
            found += isinstance(message, bytes)
            if found == count:
                break
        return found


def test_the_page_and_its_stream_come_through(proxy: Proxy, city: LiveDemo) -> None:
    with proxy.client() as web:
        page = web.get("/")
        assert page.status_code == 200
        assert_files_load(web, "/", page.text)
        assert web.get("/api/status").json()["city"] == "manhattan"
    assert asyncio.run(cuts(proxy, "/ws", f"http://{NAME}", count=20)) == 20
    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(cuts(proxy, "/ws", "http://evil.example", count=1))
    assert refused.value.response.status_code == 403
    log = (city.data_dir / "logs" / "city.log").read_text()
    assert "TAXI_ALLOWED_ORIGINS=http://evil.example" in log, "and how to allow it is logged"


def assert_files_load(web: httpx.Client, at: str, page: str) -> None:
    """Whether what the page names is where a browser would look for it."""
    script = re.search(r'<script type="module" src="([^"]+)"', page)
    style = re.search(r'<link rel="stylesheet" href="([^"]+)"', page)
    assert script is not None
    assert style is not None
    for name in (script[1], style[1]):
        assert web.get(urljoin(at, name)).status_code == 200


def test_limits_count_the_address_behind_the_proxy_whatever_it_claims(
    proxy: Proxy, request: pytest.FixtureRequest
) -> None:
    number = KINDS.index(request.node.callspec.params["proxy"]) * 10
    with proxy.client(f"127.0.1.{number + 1}") as greedy, proxy.client(f"127.0.1.{number + 2}") as other:
        answers = [
            greedy.delete(f"/api/rides/r-{n}", headers={"x-forwarded-for": f"203.0.113.{n}"}).status_code
            for n in range(RIDES_PER_MINUTE + 1)
        ]
        assert answers == [202] * RIDES_PER_MINUTE + [429]
        assert other.delete("/api/rides/r-1").status_code == 202


def test_a_city_under_a_path_comes_through(proxy_under_a_path: Proxy) -> None:
    with proxy_under_a_path.client() as web:
        moved = web.get("/taxi")
        assert moved.status_code in {301, 302, 308}
        assert urljoin("/taxi", moved.headers["location"]).endswith("/taxi/")
        page = web.get("/taxi/")
        assert page.status_code == 200
        assert_files_load(web, "/taxi/", page.text)
        assert "drivers" not in web.get("/api/status").text
    assert asyncio.run(cuts(proxy_under_a_path, "/taxi/ws", f"http://{NAME}", count=20)) == 20


def test_the_balancer_of_the_compose_file(city: LiveDemo, ports: PortPool, tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "haproxy.cfg").read_text("utf-8")
    text = re.sub(r"gateway-\d:8000", "127.0.0.1:8000", text)
    with running("haproxy", text, city, ports.take(), tmp_path) as proxy:
        here = f"127.0.0.1:{proxy.port}"
        assert asyncio.run(cuts(proxy, "/ws", f"http://{here}", count=20, host=here)) == 20
        with proxy.client("127.0.2.1", here) as web, proxy.client("127.0.2.2", here) as other:
            answers = [
                web.delete(f"/api/rides/r-{n}", headers={"x-forwarded-for": f"203.0.113.{n}"}).status_code
                for n in range(RIDES_PER_MINUTE + 1)
            ]
            assert answers == [202] * RIDES_PER_MINUTE + [429]
            assert other.delete("/api/rides/r-1").status_code == 202
        for name in ("evil.example", f"evil.example:{proxy.port}", "localhost.evil.example"):
            with proxy.client(host=name) as web:
                refused = web.get("/api/status")
                assert refused.status_code == 403
                assert refused.json()["status"] == 403


@pytest.mark.browser
def test_a_browser_shows_the_city_under_a_path(
    city: LiveDemo, ports: PortPool, tmp_path: Path, browser: Browser
) -> None:
    name = "taxi.localhost"  # for a browser that leads to this machine
    text = configuration("nginx", path=True).replace(NAME, name)
    with running("nginx", text, city, ports.take(), tmp_path) as proxy:
        errors: list[str] = []
        page = browser.new_page()
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://{name}:{proxy.port}/taxi/")
        shown = "window.taxistream?.snapshot() ?? {}"
        until(lambda: page.evaluate(shown).get("drivers") == DRIVERS, 60, "every taxi on the page")
        until(lambda: page.evaluate(shown)["mapReady"], 60, "a map")
        assert page.evaluate(shown)["trusted"]
        page.close()
        assert errors == []
