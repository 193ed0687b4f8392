"""Run every check of the supply chain: `make audit`. With `--complete` a check that could not run fails too."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Sequence

from audit import checks
from audit.checks import Checked, NotRun
from audit.exceptions import Exceptions, read

CHECKS: dict[str, Callable[[Exceptions], Checked]] = {
    "pins": lambda accepted: checks.pins(accepted),
    "workflows": lambda _: checks.workflows(),
    "secrets": lambda _: checks.secrets(),
    "sbom": lambda _: checks.sbom(),
    "licences": lambda accepted: checks.licences(accepted),
    "vulnerabilities": lambda accepted: checks.vulnerabilities(accepted),
    "image-vulnerabilities": lambda accepted: checks.image_vulnerabilities(accepted),
}
"""By name, in the order in which they run: the licences are those of the SBOM."""


def main(arguments: Sequence[str]) -> int:
    """Run the command line."""
    accepted = read(dt.datetime.now(dt.UTC).date())
    failed, not_run = [], []
    for name, check in CHECKS.items():
        try:
            result = check(accepted)
        except NotRun as reason:
            not_run.append(name)
            print(f"audit: {name}: NOT RUN, {reason}", flush=True)
            continue
        for line in result.findings:
            print(f"audit: {name}: {line}")
        failed += [name] if result.findings else []
        print(f"audit: {name}: {result.seen}, {len(result.findings) or 'no'} findings", flush=True)
    ran = len(CHECKS) - len(not_run)
    print(f"audit: {ran} of {len(CHECKS)} checks ran" + (f", not {', '.join(not_run)}" if not_run else ""))
    return 1 if failed or (not_run and "--complete" in arguments) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
