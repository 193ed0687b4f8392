"""The command `homeprices`: a group for each part of the library.

`homeprices COMMAND --help` shows the options and an example. Errors end in one line on standard error and exit code 1,
wrong usage ends in exit code 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from homeprices.cli import (
    candidate,
    data,
    drift,
    experiment,
    keys,
    models,
    operations,
    point_in_time,
    release,
    stack_status,
    training,
)
from homeprices.cli.command_group import CommandGroup, example

if TYPE_CHECKING:
    from homeprices.resources import Resources

PROGRAM = "homeprices"


@click.group(
    cls=CommandGroup,
    epilog=example(
        "homeprices release status",
        # Click writes the completion script; zsh and fish take their names in the place of bash.
        f'eval "$(_{PROGRAM.upper()}_COMPLETE=bash_source {PROGRAM})"   # completion of commands and options',
    ),
    context_settings={"max_content_width": 120},
)
def homeprices() -> None:
    """Import listings, train, compare, release and operate models of home prices."""


for command in (
    *(
        models.compare,
        models.runs,
        operations.airflow,
        operations.database,
        stack_status.status,
        point_in_time.features,
    ),
    *(module.group for module in (candidate, data, drift, experiment, keys, release, training)),
):
    homeprices.add_command(command)


def main(arguments: list[str] | None = None, resources: Resources | None = None) -> int:
    """Run one command (default: the process's arguments) and return its exit code.

    Commands use `resources`, by default those that the environment names.
    """
    try:
        homeprices.main(arguments, prog_name=PROGRAM, obj=resources)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
