# SPDX-License-Identifier: Apache-2.0
"""What a shell completes after Tab."""

from pathlib import Path
from typing import Any

from taxistream.cli.output import DATA_DIR


def part_names(ctx: Any, incomplete: str) -> list[str]:
    """The names of the demo's parts that begin so; none if no demo runs or its folder cannot be read."""
    from taxi.runtime import parts  # noqa: PLC0415 - completing a command's name does without

    data_dir = Path(ctx.params.get("data_dir") or DATA_DIR)
    return [part.name for part in parts.list_current(data_dir) if part.name.startswith(incomplete)]


def policies(incomplete: str) -> list[str]:
    """The names of the policies of this package and of installed ones."""
    from dispatcher.policies import plugins  # noqa: PLC0415 - completing a command's name does without

    return [name for name in plugins.names() if name.startswith(incomplete)]
