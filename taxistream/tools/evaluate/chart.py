# SPDX-License-Identifier: Apache-2.0
"""A chart of a comparison (the extra `plots`): waits, unserved rides, empty kilometres."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taxistream.tools.evaluate.report import summary

_BARS = (("p50", "wait_s.p50"), ("mean", "wait_s.mean"), ("p90", "wait_s.p90"), ("p99", "wait_s.p99"))
_SHARES = (("not served", "served_share"), ("empty km", "empty_km_share"), ("≥ 3 swaps", "swapped_3_share"))


def draw(rows: Sequence[dict[str, Any]], title: str, path: Path) -> None:
    """Write the chart to `path`, whose suffix determines the format.

    Raises ImportError without matplotlib.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    means = summary(rows)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    waits, shares = figure.subplots(1, 2, width_ratios=(3, 2))
    width = 0.8 / len(means)
    for nth, row in enumerate(means):
        at = [x + nth * width for x in range(len(_BARS))]
        waits.bar(at, [row[path_] for _, path_ in _BARS], width, label=row["policy"])
        lost = [1 - row[p] if p == "served_share" else row[p] for _, p in _SHARES]
        shares.bar([x + nth * width for x in range(len(_SHARES))], [100 * each for each in lost], width)
    middle = 0.4 - width / 2
    waits.set_xticks([x + middle for x in range(len(_BARS))], [name for name, _ in _BARS])
    shares.set_xticks([x + middle for x in range(len(_SHARES))], [name for name, _ in _SHARES])
    waits.set_ylabel("wait, seconds")
    shares.set_ylabel("per cent")
    waits.legend(frameon=False)
    for axes in (waits, shares):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, x=0.01, ha="left")
    figure.savefig(path, dpi=140)
