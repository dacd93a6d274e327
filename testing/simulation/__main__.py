# SPDX-License-Identifier: Apache-2.0
"""`python -m testing.simulation --seeds 200 [--first N] [--jobs 2] [--kind cities] [--bug NAME] [--json]`."""

import argparse
import json
import sys
import time

from testing.simulation import planted
from testing.simulation.run import Batch, run_seeds
from testing.simulation.search import KINDS, Search
from testing.simulation.sometimes import ENOUGH_SEEDS, never_seen


def main() -> int:
    """Exit 0 if every promise held under every seed, else 1."""
    options = _options()
    began = time.perf_counter()
    seeds = range(options.first, options.first + options.seeds)
    search = Search(options.kind)
    batch = run_seeds(seeds, jobs=options.jobs, bug=options.bug, search=search)
    missing = (
        never_seen(batch.tally, options.kind) if options.seeds >= ENOUGH_SEEDS and not options.bug else []
    )
    _tell(batch, missing, time.perf_counter() - began, as_json=options.json)
    return 1 if batch.bad or missing else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m testing.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--bug", choices=sorted(planted.BUGS), default=None)
    parser.add_argument("--kind", choices=KINDS, default="whole")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _tell(batch: Batch, missing: list[str], wall_s: float, *, as_json: bool) -> None:
    cpu_s = sum(outcome.cpu_s for outcome in batch.outcomes)
    if as_json:
        report = {
            "seeds": len(batch.outcomes),
            "bad": {outcome.seed: [repr(v) for v in outcome.violations] for outcome in batch.bad},
            "never_seen": missing,
            "trace": batch.trace,
            "cpu_s": round(cpu_s, 2),
            "wall_s": round(wall_s, 2),
            "tally": dict(sorted(batch.tally.items())),
        }
        print(json.dumps(report))
        return
    for number, outcome in enumerate(batch.bad[:10]):
        print(f"seed {outcome.seed}:", file=sys.stderr)
        for violation in outcome.violations[:6]:
            print("   ", repr(violation)[:700], file=sys.stderr)
        if not number:
            print("\n".join(outcome.scenario), file=sys.stderr)
    for name in missing:
        print(f"never seen: {name}", file=sys.stderr)
    count = len(batch.outcomes)
    bad = [outcome.seed for outcome in batch.bad]
    steps = sum(outcome.steps for outcome in batch.outcomes) // count
    print(f"{count} seeds, {len(bad)} bad {bad[:30]}, {count / cpu_s:.2f} seeds a CPU second, {wall_s:.0f} s")
    print(f"{steps} callbacks a seed, {batch.tally['cuts']} cuts checked, trace {batch.trace}")


if __name__ == "__main__":
    sys.exit(main())
