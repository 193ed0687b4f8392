"""All tests with one summary and the coverage that was measured, branches and child processes included.

    python tests/run_tests.py [--only unit|infrastructure|integration|e2e] [--changed revision] [pytest arguments]

With `--changed`, only the tests that the changes since a revision can reach, without coverage; 1 is the newest commit
that origin has too.

`-n 0` runs them one after the other in one process.
Exit status 0 only when every test passed and `homeprices`, `inference` and `router` are covered by at least 98 %.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support import changed

ROOT = Path(__file__).parents[1]
SUITES = ("unit", "infrastructure", "integration", "e2e")
COVERED = "homeprices/*,inference/*,router/*"
LEAST_PERCENT = 98
NEEDED = ("coverage", "pytest", "xdist")
ADVICE = "run `make install`, then `.venv/bin/python tests/run_tests.py`"
PARALLEL = ("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")
"""Files run side by side, each as a whole in one worker (`tests/support/workers.py` decides their number)."""


def main() -> int:
    """Run the suites; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SUITES, help="one suite, without a demand on coverage")
    parser.add_argument("--changed", metavar="REVISION", help="only tests that changes since then can reach")
    options, pytest_arguments = parser.parse_known_args()
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        print(f"run_tests: {sys.executable} has no {', '.join(missing)}; {ADVICE}", file=sys.stderr)
        return 1
    folders = [f"tests/{suite}" for suite in ([options.only] if options.only else SUITES)]
    if options.changed:
        return run_changed(options.changed, tuple(folders), pytest_arguments)
    coverage("erase")
    tests = coverage("run", "-m", "pytest", *PARALLEL, *folders, *pytest_arguments)
    coverage("combine", "--quiet")
    if options.only:
        coverage("report", f"--include={COVERED}")
        return tests
    enough = coverage("report", f"--include={COVERED}", f"--fail-under={LEAST_PERCENT}")
    return tests or enough


def run_changed(since: str, folders: tuple[str, ...], pytest_arguments: list[str]) -> int:
    """Run the tests of these folders that the changes can reach; the exit status."""
    files = changed.changed_files(changed.base() if since == "1" else since)
    tests = [test for test in changed.reached(files) if test.startswith(folders)]
    print(f"{len(files)} changed files reach {len(tests)} of {len(changed.test_files())} test files")
    if not tests:
        return 0
    return subprocess.run([sys.executable, "-m", "pytest", *PARALLEL, *tests, *pytest_arguments], cwd=ROOT).returncode


def coverage(*words: str) -> int:
    """Run the coverage tool in the project's folder; its exit status."""
    return subprocess.run([sys.executable, "-m", "coverage", *words], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
