# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.fuzz_http --minutes 10`: random HTTP requests to a real gateway.

Requests are generated from the API's description (`gateway.http.openapi`) and then mutated: other methods,
paths, headers and bodies, finally single bytes. Each answer must be as described, and each error a problem
document with safe headers. No answer may be a 5xx, except 503 with `Retry-After`, and the gateway's log must
not have a traceback.

The gateway runs with a dispatcher and a simulator in a child process, on a bus in memory. A failed request is
printed; `--seed` generates the same requests again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import socket
import string
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from openapi_schema_validator import OAS31Validator

from gateway.http import openapi
from taxistream.local.ports import first_free

_DRIVERS: Final = 40
_ANSWER_S: Final = 5.0
_QUIET_S: Final = 0.2
"""A mutated request may be incomplete, so no answer within this time is allowed."""
_SAFE: Final = ("x-content-type-options", "content-security-policy", "cache-control", "x-frame-options")
_OF_ANY_REQUEST: Final = {400, 403, 404, 405, 408, 413, 414, 415, 417, 426, 431}
"""Statuses that any request may get, so that no operation lists them."""
_TIMES_SQUARE, _BRYANT_PARK = (-73.98565, 40.75743), (-73.98396, 40.75369)

DOCUMENT: Final = openapi.document()


class Request(NamedTuple):
    """The bytes of a request. `is_spoiled`: they were mutated, so they may not be a request."""

    method: str
    path: str
    raw: bytes
    is_spoiled: bool


class Answer(NamedTuple):
    """One response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


# --- making requests ------------------------------------------------------------------------------------

_METHODS: Final = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PURGE",
    "get",
    "",
)
_PATHS: Final = (
    *(
        "/",
        "/ws",
        "/static/x.js",
        "/static/../page.py",
        "/cities/manhattan/city.json",
        "/cities/x",
        "/metrics",
    ),
    *(
        "/readyz",
        "/healthz",
        "/openapi.json",
        "//",
        "/api",
        "/api/",
        "/api/status/",
        "/%00",
        "/%ff",
        "/é",
        "*",
    ),
    *(
        "/api/rides/%2e%2e",
        "/api/rides/a%2Fb",
        "/api/rides/",
        "/api/rides/\x01",
        "http://evil.example/",
        "?",
        "",
    ),
)
_HOSTS: Final = (
    "127.0.0.1",
    "localhost",
    "evil.example",
    "[::1]",
    "[",
    "",
    "a b",
    "é",
    "127.0.0.1:99999",
    "x" * 300,
)
_ORIGINS: Final = ("http://127.0.0.1", "http://[", "null", "", "http://evil.example", "é", "https://a:b")
_HEADERS: Final = (
    *(("content-type", value) for value in ("application/json", "text/plain", "", "application/json; x=é")),
    *(("content-length", value) for value in ("0", "5", "-1", "1e3", "99999999999999999999", "0x5", "é", "")),
    *(("transfer-encoding", value) for value in ("chunked", "identity", "gzip, chunked", "x")),
    *(("authorization", value) for value in ("Bearer x", "Bearer ", "Basic x", "bearer a.b.c", "é")),
    *(("expect", value) for value in ("100-continue", "200-ok")),
    *(("upgrade", value) for value in ("websocket", "h2c", "é")),
    *(("connection", value) for value in ("upgrade", "keep-alive", "close, upgrade", "é")),
    *(("x-forwarded-for", value) for value in ("unknown", "203.0.113.9", ",", "[::1]:9", "é", "127.0.0.1")),
    *(("x-forwarded-proto", value) for value in ("https", "é", "gopher")),
    *(("traceparent", value) for value in ("00-" + "a" * 32 + "-" + "b" * 16 + "-01", "é", "00")),
    *(("accept-encoding", value) for value in ("gzip", "br;q=é", "*", "")),
    *(("if-none-match", value) for value in ("*", 'W/"x"', "é", '"' * 99)),
    *(("sec-websocket-version", value) for value in ("13", "8", "é")),
    *(("sec-websocket-key", value) for value in ("dGhlIHNhbXBsZSBub25jZQ==", "x", "é")),
    *(("range", "bytes=0-1"), ("te", "trailers"), ("cookie", "a=" + "b" * 5000), ("x-" + "y" * 200, "z")),
)  # fmt: skip


def make(rng: random.Random, port: int) -> Request:
    """A random request."""
    path, operations = rng.choice(list(DOCUMENT["paths"].items()))
    method = rng.choice([name for name in operations if name != "parameters"]).upper()
    path = re.sub(r"\{(\w+)\}", lambda _: _segment(rng), path)
    if rng.random() < 0.1:
        method = rng.choice(_METHODS)
    if rng.random() < 0.1:
        path = rng.choice(_PATHS)
    if rng.random() < 0.1:
        path += "?" + _text(rng)
    body = _body(rng) if method == "POST" or rng.random() < 0.05 else b""
    headers = _headers(rng, port, body)
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    raw = "\r\n".join(lines).encode("utf-8", "surrogateescape") + body
    is_spoiled = rng.random() < 0.4
    return Request(method, path, _spoiled(rng, raw) if is_spoiled else raw, is_spoiled)


def _segment(rng: random.Random) -> str:
    return rng.choice(
        ("r-1", "web-1", "x" * 40, "x" * 41, "gateway-1", "nobody", "a%20b", "%ff", _text(rng) or "x")
    )


def _headers(rng: random.Random, port: int, body: bytes) -> list[tuple[str, str]]:
    headers = [("host", f"127.0.0.1:{port}")]
    if body:
        headers += [("content-type", "application/json"), ("content-length", str(len(body)))]
    if rng.random() < 0.1:
        headers[0] = ("host", rng.choice(_HOSTS))
    if rng.random() < 0.1:
        headers.append(("origin", rng.choice((*_ORIGINS, f"http://127.0.0.1:{port}"))))
    headers += [rng.choice(_HEADERS) for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 5)))]
    if rng.random() < 0.02:
        headers += [(f"x-{number}", "y") for number in range(rng.choice((50, 99, 150)))]
    if rng.random() < 0.05:
        headers.pop(rng.randrange(len(headers)))
    return [*headers, ("connection", "close")]


def _body(rng: random.Random) -> bytes:
    ride: dict[str, Any] = {
        "ride": f"f-{rng.randrange(50)}",
        "pickup": _TIMES_SQUARE,
        "dropoff": _BRYANT_PARK,
    }
    if rng.random() < 0.8:
        ride[rng.choice(("ride", "pickup", "dropoff", "x"))] = _value(rng, 3)
    raw = json.dumps(ride).encode()
    pick = rng.random()
    if pick < 0.1:
        return rng.randbytes(rng.randrange(200))
    if pick < 0.15:
        return b"[" * rng.choice((10, 1000, 30_000))
    return raw if pick < 0.98 else raw + b" " * 20_000


def _value(rng: random.Random, depth: int) -> Any:
    plain: tuple[Any, ...] = (
        None,
        True,
        0,
        -1,
        1e308,
        1e-320,
        180,
        -181.5,
        2**64,
        "",
        _text(rng),
        [],
        {},
        float("nan"),
        "\ud800",
    )
    if depth and rng.random() < 0.4:
        return [_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return rng.choice(plain)


def _text(rng: random.Random) -> str:
    return "".join(
        rng.choice(string.ascii_letters + "%/?#;=&+._-~\\'\"<>{}|^`é漢") for _ in range(rng.randrange(12))
    )


def _spoiled(rng: random.Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(5):
            case 0:
                changed[at:at] = rng.choice(
                    (b"\r\n", b"\n", b"\0", b" ", b":", b"\xff", b"\r", b"\t", rng.randbytes(3))
                )
            case 1:
                del changed[at : at + rng.choice((1, 1, 5, 50))]
            case 2:
                changed[at : at + 1] = rng.randbytes(1)
            case 3:
                changed[at:at] = changed[at : at + rng.randrange(1, 40)]
            case _:
                changed += raw[: rng.randrange(len(raw))]
    return bytes(changed)


# --- asking ---------------------------------------------------------------------------------------------


def ask(port: int, request: Request) -> list[Answer]:
    """Send a request and read all answers. Raises ValueError if they are not HTTP."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S) as line:
        try:
            line.sendall(request.raw)
            line.settimeout(_QUIET_S if request.is_spoiled else _ANSWER_S)
            while chunk := line.recv(65_536):
                received += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
        except TimeoutError:
            if not request.is_spoiled and not _may_wait(request.raw):
                message = f"no answer within {_ANSWER_S} s; so far: {received[:200]!r}"
                raise ValueError(message) from None
    return list(_answers(received, request))


def _may_wait(raw: bytes) -> bool:
    """Whether the request may be incomplete or ask for another protocol, because its headers are random."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lengths = re.findall(rb"(?im)^content-length: *([0-9]{1,18})\r?$", head)
    return bool(re.search(rb"(?i)transfer-encoding|upgrade|^CONNECT", head)) or any(
        int(n) > len(body) for n in lengths
    )


def _answers(received: bytes, request: Request) -> Iterator[Answer]:
    while received:
        head, blank, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        matched = re.fullmatch(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [ -~]*", first)
        if matched is None or not blank:
            message = f"this is no answer: {received[:200]!r}"
            raise ValueError(message)
        status = int(matched[1])
        pairs = [line.decode("latin-1").partition(": ") for line in lines]
        headers = {name.lower(): value for name, _, value in pairs}
        if status < 200:
            received = rest
            if status == 101:
                return
            continue
        length = int(headers.get("content-length", len(rest)))
        is_head = request.method == "HEAD" and not (request.is_spoiled and rest[:1] == b"{")
        if is_head or status in {204, 304}:
            length = 0
        yield Answer(status, headers, rest[:length])
        received = rest[length:]


# --- judging --------------------------------------------------------------------------------------------


def complaints(request: Request, answers: list[Answer]) -> Iterator[str]:
    """What is wrong with the answers."""
    if not request.is_spoiled and not answers and not _may_wait(request.raw):
        yield "no answer"
    for answer in answers:
        yield from _of_answer(request, answer)


def _of_answer(request: Request, answer: Answer) -> Iterator[str]:
    status, headers = answer.status, answer.headers
    if status >= 500 and not (status == 503 and "retry-after" in headers):
        yield f"status {status}"
    if missing := [name for name in _SAFE if name not in headers]:
        yield f"{status} without {', '.join(missing)}"
    if status >= 400:
        yield from _of_problem(request, answer)
    if request.is_spoiled:
        return
    operation = _operation(request)
    if operation is not None and status not in _OF_ANY_REQUEST:
        described = operation["responses"].get(str(status))
        if described is None:
            yield f"{status} is not in the description of {request.method} {request.path}"
        elif status < 400 and request.method != "HEAD":
            yield from _of_schema(described["content"]["application/json"]["schema"], answer.body)


def _of_problem(request: Request, answer: Answer) -> Iterator[str]:
    if answer.headers.get("content-type") != "application/problem+json":
        yield f"{answer.status} is no problem document: {answer.headers.get('content-type')}"
    elif answer.headers.get("cache-control") != "no-store":
        yield f"{answer.status} may be kept: {answer.headers.get('cache-control')}"
    elif request.method != "HEAD" or answer.body:
        yield from _of_schema({"$ref": "#/components/schemas/Problem"}, answer.body)
        if json.loads(answer.body).get("status") != answer.status:
            yield f"{answer.status} says another status: {answer.body!r}"


def _of_schema(schema: Mapping[str, Any], body: bytes) -> Iterator[str]:
    try:
        value = json.loads(body)
    except ValueError:
        yield f"no JSON: {body[:200]!r}"
        return
    validator = OAS31Validator({**schema, "components": DOCUMENT["components"]})
    for error in validator.iter_errors(value):
        yield f"not as described: {error.message[:300]}"


def _operation(request: Request) -> Any:
    path = request.path.partition("?")[0]
    for template, operations in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[A-Za-z0-9_-]{1,40}", template), path):
            return operations.get(request.method.lower())
    return None


# --- the gateway ----------------------------------------------------------------------------------------


@contextmanager
def serving(folder: Path, **environ: str) -> Iterator[tuple[int, Path]]:
    """Run a city in a child process. Yields its port and its log file."""
    port, data_dir = first_free(21_500), folder / "city"
    log = data_dir / "logs" / "city.log"
    command = [sys.executable, "-m", "scripts.fuzz_http", "--serve", str(port), "--folder", str(data_dir)]
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **environ})
        try:
            deadline = time.monotonic() + 120
            while not _is_ready(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "out").read_text())
                time.sleep(0.2)
            yield port, log
            if process.poll() is not None:
                raise RuntimeError(f"the gateway ended: {(folder / 'out').read_text()[-2000:]}")
        finally:
            process.terminate()
            process.wait(30)


def _is_ready(port: int) -> bool:
    try:
        raw = b"GET /api/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        return [answer.status for answer in ask(port, Request("GET", "/api/status", raw, False))] == [200]
    except (OSError, ValueError):
        return False


def serve(port: int, folder: Path) -> None:
    """Run the city, with a kill button for a part that is not running."""
    from rich.console import Console  # noqa: PLC0415 - the fuzzer itself does without

    from taxi.runtime import parts  # noqa: PLC0415 - as above
    from taxistream.local import one_process  # noqa: PLC0415 - as above
    from taxistream.local.demo import DemoOptions  # noqa: PLC0415 - as above

    class City(one_process.InMemory):
        """With a kill button."""

        def _variables(self, name: str, kind: str, city: str) -> Mapping[str, str]:
            return {**super()._variables(name, kind, city), "TAXI_PARTS_DIR": str(part_dir)}

    part_dir = folder.with_name("parts")
    part_dir.mkdir(exist_ok=True)
    demo = parts.Demo(pid=0, created=0, started_ms=0, url="", bootstrap_servers="")
    part = parts.Part(
        name="gateway-1",
        pid=0,
        created=0,
        port=None,
        admin_port=None,
        state=parts.State.STOPPED,
        restarts=0,
    )
    parts.write(part_dir, parts.Parts(demo=demo, parts=[part]))

    one_process.InMemory = City  # type: ignore[misc]
    options = DemoOptions(
        drivers=_DRIVERS,
        seed=7,
        load=0.8,
        gateways=1,
        dispatchers=1,
        host="127.0.0.1",
        port=port,
        data_dir=folder,
    )
    one_process.run_in_memory(options, browser=False, console=Console())


def fuzz(port: int, log: Path, rng: random.Random, seconds: float) -> tuple[Counter[int], int]:
    """Send requests until the time is over.

    Returns the count of each status, and how many requests failed.
    """
    found: Counter[int] = Counter()
    failed, until, looked = 0, time.monotonic() + seconds, 0
    while time.monotonic() < until:
        request = make(rng, port)
        try:
            answers = ask(port, request)
            wrong = list(complaints(request, answers))
        except (ValueError, OSError) as error:
            answers, wrong = [], [repr(error)]
        found.update(answer.status for answer in answers)
        said = log.read_bytes()[looked:]
        looked += len(said)
        if b"Traceback" in said:
            wrong.append(f"a traceback: {said.decode(errors='replace')[-3000:]}")
        if wrong:
            failed += 1
            print(f"FAILED {request.raw[:2000]!r}: {'; '.join(wrong)}", flush=True)
    return found, failed


def main() -> int:
    """Run until the time is over. Returns 1 if a request failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve, options.folder)
        return 0
    seed = options.seed if options.seed is not None else time.time_ns() % 1_000_000
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as (port, log):
        found, failed = fuzz(port, log, random.Random(seed), 60 * options.minutes)
    came = ", ".join(f"{count} × {status}" for status, count in sorted(found.items()))
    print(f"seed {seed}: {sum(found.values())} answers ({came}), {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
