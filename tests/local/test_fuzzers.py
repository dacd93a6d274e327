# SPDX-License-Identifier: Apache-2.0
"""Random requests, settings and record batches for some seconds; `make fuzz` does so for longer."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import fuzz_batches, fuzz_sockets
from scripts.fuzz_http import Request, ask, complaints, fuzz, serving
from testing.raw_sockets import CLOSE, CONT, TEXT, RawWebSocket, close_payload, frame

pytestmark = pytest.mark.slow

FOUND = [
    # Each once ended in a 5xx, in a traceback, or in an answer that was no problem document.
    ("GET", "/api/status", "host: [\r\n"),
    ("GET", "/api/status", ""),
    ("GET", "/api/status", "host: 127.0.0.1\r\nhost: evil.example\r\n"),
    ("POST", "/api/parts/nobody/kill", "host: 127.0.0.1\r\norigin: http://[\r\n"),
    ("GET", "/static/x.js", "host: 127.0.0.1\r\n"),
    ("GET", "/\xe9", "host: 127.0.0.1\r\n"),
    ("HEAD", "/api/status", "host: 127.0.0.1\r\ncontent-length: 1e3\r\n"),
    ("HEAD", "/api/status", "host: evil.example\r\n"),
    ("GET", "/api/status", "host: 127.0.0.1\r\ncontent-length: 99999999999999999999\r\n"),
    ("GET", "/api/status", "host: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n"),
    ("OPTIONS", "*", "host: 127.0.0.1\r\n"),
    ("CONNECT", "127.0.0.1:80", "host: 127.0.0.1\r\n"),
    ("GET", "/api/rides/%ff", "host: 127.0.0.1\r\n"),
    ("POST", "/api/rides", "host: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 30\r\n"),
]


def test_random_requests_are_answered_as_described_and_leave_no_traceback(tmp_path: Path) -> None:
    with serving(tmp_path) as (port, log):
        for method, path, headers in FOUND:
            raw = f"{method} {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n".encode("latin-1")
            request = Request(method, path, raw, is_spoiled=True)
            assert list(complaints(request, ask(port, request))) == []
        found, failed = fuzz(port, log, random.Random(67236), seconds=4.0)
        assert failed == 0
        assert {200, 202, 400, 404, 405, 422} <= found.keys()
        assert "Traceback" not in log.read_text()


def test_services_under_random_settings_run_or_say_which_one_is_wrong() -> None:
    command = [sys.executable, "-m", "scripts.fuzz_settings", "--minutes", "0.05", "--seed", "67236"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 failed" in done.stdout


HELLO = frame(TEXT, b'{"type":"hello","v":1,"city":"manhattan"}')
ENDED_BADLY = [
    # Each once ended a session with 1011, left a traceback, or was held open without an end.
    frame(TEXT, b'{"type":"hello","v":1,"city":"manhattan","view":[0,0,1e304,1]}'),
    frame(TEXT, b'{"type":"hello","v":1,"city":"manhattan","later":' + b"[" * 1_000 + b"]" * 1_000 + b"}"),
    HELLO + frame(TEXT, b'{"type":"view","generation":1,"bbox":[-1e308,-1e308,1e308,1e308]}'),
    HELLO + frame(TEXT, b'{"type":"view","generation":1,"bbox":null,"later":' + b'{"a":' * 700),
    frame(TEXT, b"\xff"),
    frame(TEXT, b"\xce", fin=False) + frame(CONT, b"\xed\xa0\x80"),
    frame(TEXT, b"begun", fin=False) + frame(CLOSE, close_payload(1000)) + frame(CONT, b"rest"),
]


def test_random_frames_end_sessions_by_the_rules_and_leave_no_traceback(tmp_path: Path) -> None:
    with serving(tmp_path) as (port, log):
        for data in ENDED_BADLY:
            with RawWebSocket(port) as line:
                line.send(data)
                assert fuzz_sockets.ending(line)[1] != 1011
        found, failures = fuzz_sockets.fuzz(port, log, random.Random(67236), seconds=6.0)
        assert failures == []
        assert {"101", "400", "closed 1002", "closed 4400"} <= found.keys()


BATCHES_FOUND = [
    # A `BatchClosed` without a count, and an event without its driver, ended the load test's oracle.
    67236000016598,
    67236000016620,
    4711000031080,
    # A batch that says it has −1 records was passed over without a word.
    581110000024948,
]


@pytest.mark.parametrize("case", BATCHES_FOUND)
def test_a_record_batch_that_once_ended_a_consumer_is_passed_over(case: int) -> None:
    fuzz_batches.run(case)


def test_record_batches_of_any_bytes_stop_no_reader_and_no_consumer() -> None:
    command = [sys.executable, "-m", "scripts.fuzz_batches", "--minutes", "0.05", "--seed", "67236"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 failed" in done.stdout
