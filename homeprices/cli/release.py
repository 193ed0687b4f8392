"""`homeprices release`: show and change what production and the candidate serve."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import IO, TYPE_CHECKING

import click

from homeprices.cli.command_group import CommandGroup, Refusal, example, resources_of, user_name

if TYPE_CHECKING:
    from homeprices.adapters.object_store import Bucket
    from homeprices.resources import Resources
    from homeprices.workflows.manual_actions import ActionReport


@dataclass(frozen=True)
class Session:
    """Shared by all commands of the group: the actor for the record, and the resources, opened on first use."""

    actor: str
    context: click.Context

    @cached_property
    def resources(self) -> Resources:
        """The resources of the process."""
        return resources_of(self.context.find_root())


pass_session = click.make_pass_decorator(Session)
optional_reason = click.option("--reason", default="", help="For the record.")
required_reason = click.option("--reason", required=True, help="For the record.")
version_option = click.option(
    "--version", help="For example CO1 or BO2; shadow: the next candidate (default: the candidate, else production)."
)
candidate_option = click.option("--candidate", help="For example CO1 (default: the candidate on trial).")


@click.group("release", cls=CommandGroup, label="release: ")
@click.option("--actor", default=user_name, show_default="the user", help="Person who acts, for the record.")
@click.pass_context
def group(context: click.Context, actor: str) -> None:
    """Show and change what production and the candidate serve."""
    context.obj = Session(f"person:{actor}", context)


@group.command(epilog=example("homeprices release status"))
@pass_session
def status(session: Session) -> None:
    """Show what is in production, on trial and served."""
    from homeprices.workflows.status import release_status

    click.echo(release_status(session.resources))


@group.command(
    epilog=example("homeprices release share 30", "homeprices release share 20 --region east"),
    context_settings={"ignore_unknown_options": True},
)
@click.argument("percent", type=float)
@click.option("--places", type=click.File(encoding="utf-8"), help="File with a place a line: try it there only.")
@click.option("--region", help="Try it in one region: centre, north, east, south-east, south or west.")
@click.option("--everywhere", is_flag=True, help="Try it in the whole city again.")
@optional_reason
@pass_session
def share(
    session: Session, percent: float, places: IO[str] | None, region: str | None, everywhere: bool, reason: str
) -> None:
    """Give the candidate PERCENT of the visitors, from 0 to 50.

    A change of the places starts the trial again, after a shadow comparison on the homes of these places.
    """
    from homeprices.release import control_record
    from homeprices.release.experiment_record import in_places
    from homeprices.workflows.candidates import trial_places

    bucket = session.resources.bucket
    chosen = _places(bucket, places, region, everywhere)
    if chosen:
        record, compared = trial_places.begin_in(session.resources, percent, chosen, session.actor, reason)
        if compared:
            click.echo(compared)
    else:
        record = control_record.set_share(bucket, percent, session.actor, reason, places=chosen)
    where = f" {in_places(record.places)}" if record.places or everywhere else ""
    click.echo(f"{record.candidate} gets {record.share:g} % of the visitors{where} from epoch {record.epoch} on.")


@group.command(epilog=example('homeprices release stop --reason "it is slow"'))
@optional_reason
@pass_session
def stop(session: Session, reason: str) -> None:
    """Set the candidate's share to zero; the experiment stays."""
    from homeprices.release import control_record

    record = control_record.stop_share(session.resources.bucket, session.actor, reason or "stopped by hand")
    click.echo(f"{record.experiment} is stopped." if record.experiment else "No experiment is running.")


@group.command(epilog=example('homeprices release promote --reason "better in every segment"'))
@candidate_option
@click.option("--regional", is_flag=True, help="For the places of its trial only.")
@required_reason
@pass_session
def promote(session: Session, candidate: str | None, regional: bool, reason: str) -> None:
    """Publish the candidate as the next production bundle."""
    from homeprices.workflows import manual_actions

    _print(manual_actions.promote(session.resources, candidate, session.actor, reason, regional=regional))


@group.command(epilog=example('homeprices release rollback --reason "it undervalues villas"'))
@candidate_option
@required_reason
@pass_session
def rollback(session: Session, candidate: str | None, reason: str) -> None:
    """End the trial and archive the candidate."""
    from homeprices.workflows import manual_actions

    _print(manual_actions.roll_back(session.resources, candidate, session.actor, reason))


@group.command(epilog=example('homeprices release hold --reason "a holiday"'))
@version_option
@required_reason
@pass_session
def hold(session: Session, version: str | None, reason: str) -> None:
    """Lock the candidate or production against automatic changes, or keep candidates in shadow."""
    from homeprices.workflows import manual_actions

    _print(manual_actions.hold(session.resources, version, session.actor, reason))


@group.command(epilog=example("homeprices release resume"))
@optional_reason
@pass_session
def resume(session: Session, reason: str) -> None:
    """Lift the hold."""
    from homeprices.workflows import manual_actions

    _print(manual_actions.resume(session.resources, session.actor, reason))


@group.command(epilog=example('homeprices release skip --reason "no visitor comes at night"'))
@version_option
@required_reason
@pass_session
def skip(session: Session, version: str | None, reason: str) -> None:
    """End the step of the candidate's ramp, or the bake window of production, or let a candidate skip shadow."""
    from homeprices.workflows import manual_actions

    _print(manual_actions.skip(session.resources, version, session.actor, reason))


@group.command(epilog=example('homeprices release repeat --reason "half of the log was lost"'))
@version_option
@required_reason
@pass_session
def repeat(session: Session, version: str | None, reason: str) -> None:
    """Begin the step of the ramp, the trial, the bake window, or the comparison in shadow again."""
    from homeprices.workflows import manual_actions

    _print(manual_actions.repeat(session.resources, version, session.actor, reason))


@group.command(epilog=example('homeprices release revert --to BO1 --reason "BO2 undervalues villas"'))
@click.option("--to", "version", help="Bundle that returns, for example BO1.")
@click.option("--regional", help="Regional bundle that is taken back, for example RO1.")
@required_reason
@pass_session
def revert(session: Session, version: str | None, regional: str | None, reason: str) -> None:
    """Publish an earlier production bundle as the next one, or take a regional one back."""
    from homeprices.names import BUNDLE_KIND, REGIONAL_KIND
    from homeprices.registry.versions import kind_of
    from homeprices.workflows import manual_actions

    if (version is None) is (regional is None):
        raise click.UsageError("one of --to and --regional is required")
    for option, given, kind in (("--to", version, BUNDLE_KIND["production"]), ("--regional", regional, REGIONAL_KIND)):
        if given is not None and kind_of(given) != kind:
            raise click.UsageError(f"{option} takes a version such as {kind}1, not {given}")
    _print(manual_actions.revert(session.resources, str(version or regional), session.actor, reason))


def _places(bucket: Bucket, file: IO[str] | None, region: str | None, everywhere: bool) -> tuple[str, ...] | None:
    """Return the places that the options name; none for the whole city, None without an option."""
    from homeprices.workflows.candidates import trial_places

    if [file is not None, region is not None, everywhere].count(True) > 1:
        raise click.UsageError("--places, --region and --everywhere exclude each other; use one of them")
    if file is not None:
        return trial_places.known_places(bucket, trial_places.read_places(file))
    if region is not None:
        return trial_places.places_of_region(bucket, region)
    return () if everywhere else None


def _print(report: ActionReport) -> None:
    click.echo("\n".join(report.done))
    if report.not_propagated:
        raise Refusal("\n".join(f"release: {problem}" for problem in report.not_propagated))
