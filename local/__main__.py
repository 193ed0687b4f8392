"""The stack without Docker.

    python -m local up                     start everything, wait until it is ready, leave it running
    python -m local down                   stop everything
    python -m local status                 print each service with its state, ports and memory
    python -m local logs [NAME] [-f]       print the logs of one service, or of all
    python -m local restart NAME           restart one service
    python -m local clean                  stop everything and remove its data

STACK_DIR names the state folder (.stack), STACK_PORT_OFFSET is added to every port, DATASET is a file of listings.
"""

from __future__ import annotations

import argparse
import os
import sys

from homeprices.errors import SettingsError
from local import commands
from local.ports import PortsRefused
from local.stack import Stack
from local.supervision.processes import PRIVATE


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status."""
    options = parser().parse_args(arguments)
    try:
        stack = Stack.of(os.environ)
        if options.command == "logs":
            return commands.logs(stack, options.name, follow=options.follow)
        if options.command == "restart":
            return commands.restart(stack, options.name)
        run = {
            "up": commands.up,
            "down": commands.down,
            "status": commands.status,
            "clean": commands.clean,
            "supervise": commands.supervise,
        }[options.command]
        return run(stack)
    except (PortsRefused, SettingsError) as error:
        print(error, file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m local", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in ("up", "down", "status", "clean"):
        command.add_parser(name)
    command.add_parser("supervise")
    logs = command.add_parser("logs")
    logs.add_argument("name", nargs="?")
    logs.add_argument("-f", "--follow", action="store_true")
    command.add_parser("restart").add_argument("name")
    return top


if __name__ == "__main__":
    os.umask(PRIVATE)  # of the process, so not in `main`, which tests call in theirs
    sys.exit(main())
