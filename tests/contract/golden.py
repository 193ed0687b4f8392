"""The recorded files: what somebody outside the code depends on.

    python -m tests.contract.golden --renew

writes those of the unit suite again, all but `openapi.json`, which may only grow. Look at the difference first: a line
that goes away breaks somebody. `python -m tests.contract.http_recording --renew` does the same for HTTP.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).parent / "recorded"


def lines(name: str) -> list[str]:
    """The lines of a recorded file."""
    return (RECORDED / name).read_text(encoding="utf-8").splitlines()


def write(name: str, content: Iterable[str]) -> None:
    """Record these lines, in alphabetical order."""
    (RECORDED / name).write_text("".join(f"{line}\n" for line in sorted(content)), encoding="utf-8")


def main() -> None:
    """The command line."""
    from tests.contract import names
    from tests.unit.monitoring.named_metrics import series

    parser = argparse.ArgumentParser(prog="python -m tests.contract.golden", description=__doc__)
    parser.add_argument("--renew", action="store_true", required=True, help="write the recorded files again")
    parser.parse_args()
    write("metrics.txt", series())
    write("environment.txt", names.environment())
    write("make.txt", names.make_targets())
    write("commands.txt", names.commands())
    write("router_names.txt", names.router_names())


if __name__ == "__main__":
    main()
