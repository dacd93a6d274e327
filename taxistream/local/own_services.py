# SPDX-License-Identifier: Apache-2.0
"""Services of the user's own as parts of a demo: `taxi demo --with examples/receipts.py`."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from taxi.runtime import checks
from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxistream.local.demo import DemoOptions, ask, city_variables, part_environment
from taxistream.local.running import PartSpec, ReadinessAnswer, Running

READY_AFTER_S: Final = 1.0
"""A program that has run for so long and answers no /readyz counts as ready."""


def own_service_parts(
    files: Sequence[Path], options: DemoOptions, kafka: Mapping[str, str], others: Sequence[PartSpec]
) -> tuple[PartSpec, ...]:
    """A part for each file, named as the file.

    Args:
        files: Python programs.
        options: What the person chose.
        kafka: The KAFKA_* variables that lead to the cluster.
        others: The parts of the demo itself.

    Raises:
        LocalError: One is no file, or its name cannot be that of a part or is that of another one.
    """
    taken = {part.name for part in others}
    made = []
    for file in files:
        name = file.stem
        if not file.is_file():
            raise LocalError(
                f"--with {file}: there is no such file.", do="Name a Python file.", code=WRONG_USE
            )
        if name in taken or checks.name(name):
            raise LocalError(
                f"--with {file}: {name!r} cannot be the name of this part: "
                f"{checks.name(name) or 'another part has it'}.",
                do="Rename the file.",
                code=WRONG_USE,
            )
        taken.add(name)
        made.append(_part(name, file.absolute(), {**kafka, **city_variables(options)}))
    return tuple(made)


def _part(name: str, file: Path, variables: Mapping[str, str]) -> PartSpec:
    return PartSpec(
        name=name,
        command=lambda _: (sys.executable, str(file)),
        env=partial(part_environment, name, variables),
        ready=ready,
        has_admin=True,
    )


async def ready(running: Running) -> ReadinessAnswer | None:
    """What its /readyz says; without one, it is ready once it has run for a second."""
    answer = await ask(running)
    if answer is None and running.age_s() >= READY_AFTER_S and not running.ended:
        return ReadinessAnswer(is_ready=True)
    return answer
