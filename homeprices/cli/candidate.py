"""`homeprices candidate`: publish a candidate that the pipeline has not trained."""

from __future__ import annotations

from pathlib import Path

import click

from homeprices.cli.command_group import CommandGroup, example, resources_of, user_name
from homeprices.errors import DatabaseUnavailable, NotReady


@click.group("candidate", cls=CommandGroup, label="candidate: ")
def group() -> None:
    """Publish a candidate of your own."""


@group.command(epilog=example("homeprices candidate publish build/my-bundle"))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--actor", default=user_name, show_default="the user", help="Person who acts, for the record.")
@click.pass_context
def publish(context: click.Context, folder: Path, actor: str) -> None:
    """Check the draft bundle in FOLDER, compare it with production, and publish it as the next candidate.

    It is checked as the pipeline checks its own, and compared with production on the hold-out and on what visitors
    asked for. Then its trial begins, or it waits for the end of another.
    """
    from homeprices.release import candidate_queue
    from homeprices.workflows.candidates import publication

    resources, person = resources_of(context), f"person:{actor}"
    version = publication.publish_folder(resources, folder, person, click.echo)
    if (why := candidate_queue.why_waiting(resources.bucket).get(version)) is not None:
        click.echo(f"{version} waits: {why}.")
        return
    click.echo(f"{version} is published.")
    try:
        publication.start_trial(resources, version, person, f"{version} is {actor}'s own candidate")
    except NotReady as error:
        click.echo(f"The next evaluation starts its trial once every candidate replica serves it ({error}).")
    except DatabaseUnavailable as error:
        click.echo(f"The next evaluation starts its trial once the prediction log answers ({error}).")
    else:
        click.echo(f"{version} is on trial.")
