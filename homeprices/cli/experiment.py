"""`homeprices experiment`: the running experiment, its recorded decisions, and simulated experiments."""

from __future__ import annotations

import json
from typing import Any

import click

from homeprices.cli.command_group import CommandGroup, example, resources_of
from homeprices.errors import InvalidInput


@click.group("experiment", cls=CommandGroup, label="experiment: ")
def group() -> None:
    """Show, replay and simulate experiments."""


@group.command(epilog=example("homeprices experiment status"))
@click.pass_context
def status(context: click.Context) -> None:
    """Show where the running experiment stands, and what is missing for a decision."""
    from homeprices.workflows.status import experiment_status

    click.echo(experiment_status(resources_of(context)))


@group.command(epilog=example("homeprices experiment replay 42"), context_settings={"ignore_unknown_options": True})
@click.argument("id", type=int)
@click.pass_context
def replay(context: click.Context, id: int) -> None:
    """Compute the recorded decision number ID again, to the bit."""
    from homeprices.experiment.decision_log import replay as replay_decision

    click.echo(replay_decision(resources_of(context), id))


@group.command(epilog=example("homeprices experiment simulate --policy sequential --effect 0.2 --runs 2000"))
@click.option(
    "--policy",
    default="sequential",
    show_default=True,
    help="Policy: sequential, demo, composite, or a YAML file.",
)
@click.option(
    "--effect", type=float, default=0.0, show_default=True, help="Stars by which the candidate is better, -2.6 to 1.3."
)
@click.option(
    "--share", type=float, default=0.2, show_default=True, help="Share of visitors of the candidate, above 0, to 0.5."
)
@click.option("--runs", type=int, default=2000, show_default=True, help="Number of experiments.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same experiments.")
@click.option("--days", type=int, default=14, show_default=True, help="Length of an experiment, with a look an hour.")
@click.option("--per-day", type=float, default=100.0, show_default=True, help="Ratings a day.")
@click.option("--visitors-per-rating", type=float, default=12.0, show_default=True, help="Visitors for each rating.")
@click.option(
    "--ratings-per-visitor", type=float, default=1.0, show_default=True, help="Above 1, ratings cluster by visitor."
)
@click.option(
    "--taste", type=float, default=0.8, show_default=True, help="Spread of visitors' tastes, if ratings cluster."
)
@click.option("--true-share", type=float, help="Share that the candidate really gets (default: as --share).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def simulate(policy: str, as_json: bool, **scenario: float | None) -> None:
    """Measure how often a policy errs and how long it takes; needs no running stack."""
    from pydantic import ValidationError

    from homeprices.experiment import policies
    from homeprices.simulation import experiments
    from homeprices.simulation.visitors import Scenario

    rule = policies.load(policy)
    try:
        simulated = Scenario.model_validate(scenario)
    except ValidationError as error:
        problems = {str(problem["loc"][0]): f"{problem['msg']}, not {problem['input']!r}" for problem in error.errors()}
        raise InvalidInput(problems) from None
    summary = experiments.summary(rule, simulated, experiments.simulate(rule, simulated))
    click.echo(json.dumps(summary, indent=2, allow_nan=False) if as_json else _readable(summary))


def _readable(summary: dict[str, Any]) -> str:
    lines = [
        f"{summary['policy']} ({summary['policy_digest']}), {summary['runs']} experiments of {summary['days']} days, "
        f"{summary['per_day']:g} ratings a day, {summary['share']:.0%} to the candidate, {summary['effect']:+g} stars"
    ]
    for outcome, rate in summary["rates"].items():
        days = summary["days_to_decide"].get(outcome)
        when = f"  after {days['median']:.1f} days (median; {days['p10']:.1f} to {days['p90']:.1f})" if days else ""
        lines.append(f"{outcome:14}{rate:8.2%} ± {1.96 * summary['standard_errors'][outcome]:.2%}{when}")
    return "\n".join(lines)
