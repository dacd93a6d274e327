# SPDX-License-Identifier: Apache-2.0
"""The work of `taxi evaluate`, after its options are parsed."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from dispatcher.policies.tuning import Tuning
from taxistream.tools.evaluate.report import bound, summary
from taxistream.tools.evaluate.runs import Row, Task, run_all
from taxistream.tools.evaluate.scenario import Scenario


def evaluate(
    names: Sequence[str],
    seeds: Sequence[int],
    tell: Callable[[str], None],
    *,
    jobs: int = 1,
    with_bound: bool = False,
    **setting: Any,
) -> dict[str, Any]:
    """Run each policy with each seed.

    Args:
        names: The policies: names, or FILE.py:CLASS.
        seeds: The seeds.
        tell: Called with a line of progress after each run.
        jobs: Number of processes.
        with_bound: Also compute the bound of each run.
        **setting: Fields of `Scenario`.

    Returns:
        The report, as `--json` prints it.
    """
    about = Scenario(**setting)
    tasks = [Task(about, name, seed, Tuning(), with_bound) for name in names for seed in seeds]
    done = 0

    def report(task: Task, row: Row) -> None:
        nonlocal done
        done += 1
        wait_s, served = row["wait_s"]["mean"], row["served_share"]
        tell(f"{done}/{len(tasks)} {row['policy']} seed {task.seed}: {wait_s:.0f} s, {served:.1%} served")

    rows = run_all(tasks, jobs, report)
    return {
        "setting": msgspec.structs.asdict(about),
        "rows": rows,
        "summary": summary(rows),
        "bound": bound(rows),
    }
