"""Operate releases by hand: `python -m homeprices.release status | share N | stop | hold | resume | promote | ...`."""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import TYPE_CHECKING

from homeprices.errors import HomePricesError
from homeprices.names import BUNDLE_KIND
from homeprices.registry import bundle_reader
from homeprices.release import control_record, holds
from homeprices.release.replicas import probe
from homeprices.resources import Resources, open_resources
from homeprices.workflows import manual_actions

if TYPE_CHECKING:
    from homeprices.workflows.manual_actions import ActionReport


def main(arguments: list[str] | None = None, resources: Resources | None = None) -> int:
    """Run one command. Returns 0, or 1 after one line on standard error that says what is wrong."""
    chosen = _parser().parse_args(arguments)
    try:
        resources = resources or open_resources()
        return _run(chosen, resources)
    except HomePricesError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1


def _run(chosen: argparse.Namespace, resources: Resources) -> int:
    actor = f"person:{chosen.actor}"
    match chosen.command:
        case "status":
            print(status(resources))
        case "share":
            record = control_record.set_share(resources.bucket, chosen.percent, actor, chosen.reason)
            print(f"{record.candidate} gets {record.share:g} % of the visitors from epoch {record.epoch} on.")
        case "stop":
            record = control_record.stop_share(resources.bucket, actor, chosen.reason or "stopped by hand")
            print(f"{record.experiment} is stopped." if record.experiment else "No experiment is running.")
        case "promote":
            return _say(manual_actions.promote(resources, chosen.candidate, actor, chosen.reason))
        case "rollback":
            return _say(manual_actions.roll_back(resources, chosen.candidate, actor, chosen.reason))
        case "hold":
            return _say(manual_actions.hold(resources, chosen.version, actor, chosen.reason))
        case "resume":
            return _say(manual_actions.resume(resources, actor, chosen.reason))
        case "revert":
            return _say(manual_actions.revert(resources, chosen.to, actor, chosen.reason))
    return 0


def status(resources: Resources) -> str:
    """What is in production and on trial, who changed it last and why, and what each replica serves; a line each."""
    bucket, settings = resources.bucket, resources.settings
    record = control_record.read(bucket)
    lines = [
        f"production   {bundle_reader.highest(bucket, BUNDLE_KIND['production']) or 'none'}",
        f"candidate    {bundle_reader.highest(bucket, BUNDLE_KIND['candidate']) or 'none'}",
        f"experiment   {_experiment(record)}",
    ]
    if (held := holds.read(bucket)) is not None:
        lines.append(f"hold         {held}")
    if record.updated_at:
        lines.append(f"last change  {record.updated_at:%Y-%m-%d %H:%M:%S} UTC by {record.updated_by}: {record.reason}")
    urls = [*settings.replica_urls("production"), *settings.replica_urls("candidate")]
    return "\n".join([*lines, *(f"replica      {replica}" for replica in probe(urls))])


def _experiment(record: control_record.ControlRecord) -> str:
    if not record.experiment:
        return "none"
    return f"{record.experiment} {record.state}, {record.share:g} % of the visitors, epoch {record.epoch}"


def _say(report: ActionReport) -> int:
    print(*report.done, sep="\n")
    for problem in report.not_propagated:
        print(f"release: {problem}", file=sys.stderr)
    return 1 if report.not_propagated else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m homeprices.release", description=(__doc__ or "").strip())
    parser.add_argument("--actor", default=_user(), help="who does this, for the record (default: the user)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("status", help="what is in production, on trial, and served")
    share = commands.add_parser("share", help="give the candidate another share of the visitors")
    share.add_argument("percent", type=float, help=f"from 0 to {control_record.MAX_SHARE:g}")
    share.add_argument("--reason", default="")
    stop = commands.add_parser("stop", help="take the candidate's share to zero at once; the experiment stays")
    stop.add_argument("--reason", default="")
    for name, what in (("promote", "make the candidate the next production"), ("rollback", "archive the candidate")):
        command = commands.add_parser(name, help=what)
        command.add_argument("--candidate", help="for example CO1 (default: the one on trial)")
        command.add_argument("--reason", required=True)
    hold = commands.add_parser("hold", help="let nothing automatic end the candidate (or take production back)")
    hold.add_argument("--version", help="for example CO1 (default: the candidate, else production)")
    hold.add_argument("--reason", required=True)
    resume = commands.add_parser("resume", help="lift the hold")
    resume.add_argument("--reason", default="")
    revert = commands.add_parser("revert", help="bring an earlier production bundle back as the next one")
    revert.add_argument("--to", required=True, help="for example BO3")
    revert.add_argument("--reason", required=True)
    return parser


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return "unknown"


if __name__ == "__main__":
    raise SystemExit(main())
