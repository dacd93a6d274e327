# SPDX-License-Identifier: Apache-2.0
"""What `taxi evaluate` does, once its options are read."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from dispatcher.policies import POLICIES
from dispatcher.policies.tuning import Tuning
from evaluate.report import bound, summary
from evaluate.runs import Row, Task, run_all
from evaluate.setting import Setting


def policies() -> list[str]:
    """By name."""
    return list(POLICIES)


def evaluate(
    names: Sequence[str],
    seeds: Sequence[int],
    tell: Callable[[str], None],
    *,
    jobs: int = 1,
    with_bound: bool = False,
    **setting: Any,
) -> dict[str, Any]:
    """Run each policy under each seed; the report as `--json` prints it. `setting`: fields of Setting."""
    about = Setting(**setting)
    tasks = [Task(about, name, seed, Tuning(), with_bound) for name in names for seed in seeds]
    done = 0

    def told(task: Task, row: Row) -> None:
        nonlocal done
        done += 1
        wait_s, served = row["wait_s"]["mean"], row["served_share"]
        tell(f"{done}/{len(tasks)} {task.policy} seed {task.seed}: {wait_s:.0f} s, {served:.1%} served")

    rows = run_all(tasks, jobs, told)
    return {
        "setting": msgspec.structs.asdict(about),
        "rows": rows,
        "summary": summary(rows),
        "bound": bound(rows),
    }
