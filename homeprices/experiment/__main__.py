"""Ask the experiment: `python -m homeprices.experiment simulate | replay ID | status`."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from pydantic import ValidationError

from homeprices.errors import HomePricesError, InvalidInput
from homeprices.resources import open_resources


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns 0, or 1 after one line on standard error that says what is wrong."""
    chosen = _parser().parse_args(arguments)
    try:
        print(chosen.run(chosen))
    except HomePricesError as error:
        print(f"experiment: {error}", file=sys.stderr)
        return 1
    return 0


def _simulate(chosen: argparse.Namespace) -> str:
    from homeprices.experiment import policies
    from homeprices.simulation import experiments
    from homeprices.simulation.visitors import Scenario

    policy = policies.load(chosen.policy)
    try:
        scenario = Scenario(**{name: getattr(chosen, name) for name in Scenario.model_fields})
    except ValidationError as error:
        problems = {str(problem["loc"][0]): f"{problem['msg']}, not {problem['input']!r}" for problem in error.errors()}
        raise InvalidInput(problems) from None
    found = experiments.summary(policy, scenario, experiments.simulate(policy, scenario))
    return json.dumps(found, indent=2, allow_nan=False) if chosen.json else _as_text(found)


def _replay(chosen: argparse.Namespace) -> str:
    from homeprices.experiment.decision_log import replay

    return replay(open_resources(), chosen.id)


def _status(_: argparse.Namespace) -> str:
    from homeprices.workflows.status import status

    return status(open_resources())


def _as_text(found: dict[str, Any]) -> str:
    lines = [
        f"{found['policy']} ({found['policy_digest']}), {found['runs']} experiments of {found['days']} days, "
        f"{found['per_day']:g} ratings a day, {found['share']:.0%} to the candidate, {found['effect']:+g} stars"
    ]
    for outcome, rate in found["rates"].items():
        days = found["days_to_decide"].get(outcome)
        when = f"  after {days['median']:.1f} days (median; {days['p10']:.1f} to {days['p90']:.1f})" if days else ""
        lines.append(f"{outcome:14}{rate:8.2%} ± {1.96 * found['standard_errors'][outcome]:.2%}{when}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m homeprices.experiment", description=(__doc__ or "").strip())
    commands = parser.add_subparsers(dest="command", required=True)
    simulate = commands.add_parser("simulate", help="how often a policy errs, and how long it takes; needs no stack")
    simulate.set_defaults(run=_simulate)
    simulate.add_argument("--policy", default="sequential", help="sequential, composite, or a YAML file")
    for name, kind, default, what in (
        ("effect", float, 0.0, "stars that the candidate is better (negative: worse), -2.6 to 1.3"),
        ("share", float, 0.2, "of the visitors that the candidate gets, above 0, to 0.5"),
        ("runs", int, 2000, "experiments"),
        ("seed", int, 1, "the same seed gives the same experiments"),
        ("days", int, 14, "how long each is looked at, every hour"),
        ("per-day", float, 100.0, "ratings a day"),
        ("visitors-per-rating", float, 12.0, "visitors who come for each rating"),
        ("ratings-per-visitor", float, 1.0, "above 1, ratings cluster by visitors who have a taste"),
        ("taste", float, 0.8, "how much visitors' tastes differ, when ratings cluster"),
        ("true-share", float, None, "how visitors are split in truth (default: as they should be)"),
    ):
        simulate.add_argument(f"--{name}", type=kind, default=default, help=what)
    simulate.add_argument("--json", action="store_true", help="print JSON")
    replay = commands.add_parser("replay", help="compute a decision again from its record, to the bit")
    replay.set_defaults(run=_replay)
    replay.add_argument("id", type=int, help="its number on record")
    status = commands.add_parser("status", help="where the running experiment stands, and what is missing")
    status.set_defaults(run=_status)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
