# SPDX-License-Identifier: Apache-2.0
"""Kill -9 of the dispatcher that decides, under load, with a standby and without: `--kills 30 --drivers 500`.

Prints how soon decisions resumed, what `taxi audit` found, and whether `taxi replay --verify` decided alike.
"""

import argparse
import asyncio
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

from taxistream.local.ports import first_free
from testing.dispatcher_kills import kill_again_and_again
from testing.kafka_server import KafkaServer
from testing.real_city import real_city


def main() -> None:
    """One JSON object for each of the two ways."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="taxi-kills-") as folder:
        server = KafkaServer(Path(folder), first_free(options.port))
        server.start()
        try:
            for standby in (True, False):
                print(json.dumps(_measured(server, Path(folder), options, standby=standby)), flush=True)
        finally:
            server.kill()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--drivers", type=int, default=500)
    parser.add_argument("--load", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=24000)
    return parser.parse_args()


def _measured(
    server: KafkaServer, folder: Path, options: argparse.Namespace, *, standby: bool
) -> dict[str, Any]:
    ports = itertools.count(options.port + 10 + 10 * standby)
    prefix = "with." if standby else "without."
    logs = folder / prefix
    logs.mkdir()
    with real_city(server.bootstrap_servers, prefix, logs, lambda: first_free(next(ports))) as city:
        city.make_topics()
        people = {"TAXI_DRIVERS": str(options.drivers), "TAXI_LOAD": str(options.load)}
        city.start("simulator", "simulator", **people)
        kills = asyncio.run(kill_again_and_again(city, options.kills, seed=options.seed, standby=standby))
        findings, verdict = city.audited(), city.replayed()
        return {
            "standby": standby,
            "kills": len(kills.resumed_s),
            "resumed_s": {
                "p50": round(kills.percentile(0.5), 2),
                "p99": round(kills.percentile(0.99), 2),
                "max": round(max(kills.resumed_s), 2),
            },
            "events": findings.events,
            "rides": findings.rides,
            "violations": dict(findings.violations),
            "violations_total": findings.violations.total(),
            "replay": {
                "verified": verdict.verified,
                "not_verifiable": verdict.not_verifiable.total(),
                "differences": int(verdict.difference is not None),
                "exit_code": verdict.exit_code,
            },
        }


if __name__ == "__main__":
    main()
