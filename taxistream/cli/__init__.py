# SPDX-License-Identifier: Apache-2.0
"""`taxi`: the command line. Heavy imports wait until a command needs them."""

from typing import Annotated

import typer

from taxi import __version__
from taxistream.cli import (
    audit,
    cluster,
    demo,
    doctor,
    evaluate,
    loadtest,
    parts,
    proof,
    running_demo,
    scenario,
    services,
    token,
)
from taxistream.cli.output import Guarded

app = typer.Typer(
    cls=Guarded,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Services read TAXI_* and KAFKA_* environment variables: `taxi gateway --help` lists a service's.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"taxistream {__version__}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A taxi city that runs live on a laptop, on real Apache Kafka, and never shows a wrong picture."""


_IN_ORDER = (
    *(demo, services, cluster, parts, running_demo, scenario),
    *(proof, loadtest, audit, evaluate, token, doctor),
)
for module in _IN_ORDER:
    module.register(app)
