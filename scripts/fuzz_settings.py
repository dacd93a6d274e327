# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.fuzz_settings --minutes 10`: services under random environments.

With any values of the variables, a service must run until it is stopped (exit code 0), or end with exit code
2 and one line that names a variable that was set. A port in use is exit code 1. A traceback is always a
failure.

Each case runs in a process that is forked from one that has imported the service, on a bus in memory. A
failed case is printed as its environment.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import select
import signal
import string
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import dispatcher.__main__
import dispatcher.settings
import gateway.__main__
import gateway.settings
import simulator.__main__
import simulator.settings
import verifier.__main__
import verifier.settings
from taxi import topics
from taxi.bus.kafka.security import security
from taxi.bus.memory.bus import MemoryBus, plain_broker
from taxi.roads.network import RoadNetwork
from taxi.runtime import service
from taxi.runtime.settings import KNOWN, Settings, SettingsError, defaults

SETTINGS: Final[dict[str, type[Settings]]] = {
    "dispatcher": dispatcher.settings.Settings,
    "simulator": simulator.settings.Settings,
    "gateway": gateway.settings.Settings,
    "verifier": verifier.settings.Settings,
}
"""Kind of service → its settings."""
KINDS: Final = tuple(SETTINGS)
_SERVICES: Final[dict[str, service.Service[Any]]] = {
    "dispatcher": dispatcher.__main__.SERVICE,
    "simulator": simulator.__main__.SERVICE,
    "gateway": gateway.__main__.SERVICE,
    "verifier": verifier.__main__.SERVICE,
}
_RUN_S: Final = 0.3
_END_S: Final = 20.0
_DRIVERS_MAX: Final = 500
"""More of them would only cost time."""

LIKELY: Final = (
    *("", "0", "1", "-1", "2", "80", "8000", "65535", "65536", "1e3", "nan", "inf", "0x10", "1_000", " 7"),
    *("true", "false", "yes", "TRUE", "none", "null", "[]", "{}", "*", "/", "..", "a:b:c", "\udcff", "é"),
    *("127.0.0.1", "127.0.0.1:9092", "localhost", "::1", "[::1]", "[::1]:9092", "[", "]", "a..b", "-a"),
    *("tcp://10.0.0.1:8000", "https://taxi.example", "https://taxi.example, *", "http://[", "ws://x", "ß"),
    *("10.0.0.0/8", "10.0.0.1/8", "::/0", "zzz", "manhattan", "atlantis", "manhattan,uptown=manhattan"),
    *("SSL", "SASL_SSL", "SASL_PLAINTEXT", "PLAIN", "batched", "json", "debug", "/dev/null", "/etc/passwd"),
    *("/nope", ".", "x" * 32, "x" * 40 + ",", " " * 40, "x" * 5000, "9" * 400, "a\nb", "a\tb", "\x7f", "=,="),
)  # fmt: skip
"""Values that are valid, or nearly valid, for some setting."""
_FOREIGN: Final = (
    *("TAXI_SERVICE_HOST", "TAXI_SERVICE_PORT", "TAXI_GATEWAY_PORT", "TAXI_PORT_8000_TCP", "TAXI_SURGE"),
    *("TAXI_DRIVRES", "TAXI_", "TAXI_", "KAFKA_BOOTSTRAP_SERVER", "KAFKA_PORT", "KAFKA_HEAP_OPTS", "TAXI_a"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE"),
)


class Outcome(NamedTuple):
    """How a case ended."""

    code: int
    """As of `waitstatus_to_exitcode`."""
    said: str


def environment(rng: random.Random, kind: str) -> dict[str, str]:
    """A random environment: a few variables of which some are settings of this service."""
    own = sorted(defaults(SETTINGS[kind]))
    names = [rng.choice(own) for _ in range(rng.choice((1, 1, 2, 3)))]
    if rng.random() < 0.3:
        names.append(rng.choice(_FOREIGN))
    if rng.random() < 0.2:
        names.append(rng.choice(sorted(KNOWN)))
    return {name: value(rng) for name in names}


def value(rng: random.Random) -> str:
    """A likely value, a likely one with a mistake, or any text."""
    pick = rng.random()
    if pick < 0.6:
        return rng.choice(LIKELY)
    if pick < 0.85:
        text = list(rng.choice(LIKELY) or "x")
        text[rng.randrange(len(text))] = rng.choice(string.printable)
        return "".join(text)
    letters = string.printable + "éß\u200d\udcff漢"
    return "".join(rng.choice(letters) for _ in range(rng.randrange(30)))


def complaint(kind: str, environ: dict[str, str]) -> str | None:
    """Read the settings in this process. Returns what is wrong with how that ends, or None."""
    try:
        SETTINGS[kind].from_env(environ)
    except SettingsError as error:
        return None if _names_one(str(error), environ) else f"names no variable that was set: {error}"
    except Exception as error:  # noqa: BLE001 - what is looked for
        return repr(error)
    return None


def judge(outcome: Outcome, environ: dict[str, str]) -> str | None:
    """What is wrong with how a process ended, or None."""
    if "Traceback" in outcome.said:
        return "a traceback"
    if outcome.code == 0:
        return None
    if not _names_one(outcome.said, environ):
        return f"ended with {outcome.code} and names no variable that was set"
    if outcome.code == 2 or (outcome.code == 1 and "is in use" in outcome.said):
        return None
    return f"ended with {outcome.code}"


def _names_one(said: str, environ: dict[str, str]) -> bool:
    return any(f"{name}=" in said or f"{name}:" in said for name in environ)


def is_accepted(kind: str, environ: dict[str, str]) -> bool:
    """Whether a service would start."""
    try:
        SETTINGS[kind].from_env(environ)
    except SettingsError:
        return False
    return True


def is_costly(kind: str, environ: dict[str, str]) -> bool:
    """Whether a run would take long, or reach beyond this machine."""
    try:
        settings: Any = SETTINGS[kind].from_env(environ)
    except SettingsError:
        return False
    hosts = {settings.admin_host, getattr(settings, "host", "")}
    is_large = getattr(settings, "drivers", 0) > _DRIVERS_MAX and "TAXI_DRIVERS" in environ
    return is_large or bool(hosts - {"", "127.0.0.1", "localhost", "::1"})


class Forks:
    """Runs services in forks of this process, which has loaded them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._city = RoadNetwork.load("manhattan").prepare()

    def run(self, kind: str, environ: dict[str, str]) -> Outcome:
        """Start a service with this environment, stop it after a moment, and wait for its end.

        On a busy machine that may be before it handles signals. Then it is given more time.
        """
        outcome = self._run(kind, environ, _RUN_S)
        for run_s in (_RUN_S * 10, _RUN_S * 100):
            if outcome.code != -signal.SIGTERM:
                break
            outcome = self._run(kind, environ, run_s)
        return outcome

    def _run(self, kind: str, environ: dict[str, str], run_s: float) -> Outcome:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            self._become(kind, environ, writing)
        os.close(writing)
        said, stopped, deadline = b"", False, time.monotonic() + _END_S
        stop_s = time.monotonic() + run_s
        while True:
            left_s = (deadline if stopped else stop_s) - time.monotonic()
            if select.select([reading], [], [], max(left_s, 0))[0]:
                if not (chunk := os.read(reading, 65_536)):
                    break
                said += chunk
            elif not stopped:
                stopped = True
                os.kill(child, signal.SIGTERM)
            else:
                os.kill(child, signal.SIGKILL)
                said += b"\nTraceback: it did not end\n"
                break
        os.close(reading)
        _, status = os.waitpid(child, 0)
        return Outcome(os.waitstatus_to_exitcode(status), said.decode(errors="replace"))

    def _become(self, kind: str, environ: dict[str, str], writing: int) -> None:
        os.chdir(self._folder)
        for number in (1, 2):
            os.dup2(writing, number)
        os.close(writing)
        os.environ.clear()
        os.environ.update({"PATH": os.defpath, "TAXI_DRIVERS": "20"} | environ)
        code = 70
        try:
            with (
                patch.object(RoadNetwork, "load", lambda _: self._city),
                patch.object(service, "kafka", _in_memory),
            ):
                service.run(dataclasses.replace(_SERVICES[kind], topics=()))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException as error:  # noqa: BLE001 - what is looked for
            sys.stderr.write(f"Traceback: {error!r}\n")
        finally:
            sys.stderr.flush()
            os._exit(code)


async def _in_memory(settings: Any, _name: str) -> Any:
    """A bus whose topics are there and empty. TLS files are read as for a real one."""
    security(settings)
    broker = plain_broker()
    for spec in topics.specs():
        broker.create_topic(settings.prefix + spec.name, partitions=len(settings.served()))
    return MemoryBus(broker, prefix=settings.prefix)


def _shown(environ: dict[str, str]) -> str:
    return repr({name: text if len(text) <= 100 else text[:100] + "…" for name, text in environ.items()})


def main() -> int:
    """Run until the time is over. Returns 1 if a case failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else time.time_ns() % 1_000_000
    rng, until = random.Random(seed), time.monotonic() + 60 * options.minutes
    read = ran = failed = 0
    codes: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        forks = Forks(Path(folder))
        while time.monotonic() < until:
            kind = rng.choice(KINDS)
            runnable = rng.random() < 0.7
            for _ in range(200):
                environ = environment(rng, kind)
                read += 1
                if why := complaint(kind, environ):
                    failed += 1
                    print(f"FAILED (read) {kind} {_shown(environ)}: {why}", flush=True)
                elif runnable and is_accepted(kind, environ):
                    break
            if is_costly(kind, environ):
                continue
            outcome = forks.run(kind, environ)
            ran += 1
            codes[outcome.code] = codes.get(outcome.code, 0) + 1
            if why := judge(outcome, environ):
                failed += 1
                print(f"FAILED (run) {kind} {_shown(environ)}: {why}\n{outcome.said}", flush=True)
    ended = ", ".join(f"{count} with {code}" for code, count in sorted(codes.items()))
    print(f"seed {seed}: {read} environments read, {ran} run ({ended}), {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
