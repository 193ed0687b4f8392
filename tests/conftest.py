"""Real servers, started on first use: one of each for a test run, a fresh database or bucket for each module.

Workers of a parallel run share the servers of its controller.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests.support import durations
from tests.support.programs import not_run

if TYPE_CHECKING:  # a test that needs no server does not load them
    from homeprices.adapters.object_store import S3Bucket
    from tests.support.servers import Servers
    from tests.support.workers import SharedServers

# Tests run side by side, so each process computes in one thread: more only wait for each other at every step. Libraries
# read this when they are loaded.
os.environ |= {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if name not in os.environ}
# Without bytecode files each of some hundred processes compiles every module that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

GIVES_WAY = 5  # nice value

# How long an example takes says more about the machine than about what is tested.
settings.register_profile("homeprices", deadline=None)
settings.load_profile("homeprices")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a test that is skipped has failed: for CI")


def pytest_configure(config: pytest.Config) -> None:
    """With DURATIONS=folder, measure tests and fixtures."""
    if folder := os.environ.get("DURATIONS"):
        config.pluginmanager.register(durations.Recorder(Path(folder)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the files of a parallel run."""
    if hasattr(config, "workerinput"):
        durations.longest_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of workers of `-n auto`."""
    from tests.support import workers

    return workers.number(config.args, os.cpu_count() or 1)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The end-to-end tests are the longest of a parallel run, so the others let them go first."""
    if hasattr(item.config, "workerinput") and not item.nodeid.startswith("tests/e2e/") and os.nice(0) == 0:
        os.nice(GIVES_WAY)
    if "coverage" in sys.modules and hasattr(item.config, "workerinput"):
        from tests.support import measuring

        measuring.switch(on=not item.nodeid.removeprefix("tests/").startswith(measuring.UNMEASURED))


SHARED: pytest.StashKey[SharedServers] = pytest.StashKey()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of a parallel run where to ask for servers."""
    from tests.support.workers import SharedServers

    if SHARED not in node.config.stash:
        node.config.stash[SHARED] = SharedServers()
    node.workerinput["servers"] = node.config.stash[SHARED].ticket


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers that the workers shared."""
    if SHARED in config.stash:
        config.stash[SHARED].close()
        del config.stash[SHARED]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With --no-skips a skipped test fails, because CI would not notice when it breaks."""
    report = yield
    if report.skipped and item.config.getoption("--no-skips") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome, report.longrepr = "failed", f"not run, and --no-skips: {reason}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the tests that were not run for want of a program, and the command that brings it."""
    if lines := not_run(terminalreporter.stats.get("skipped", [])):
        terminalreporter.section("not run because something is missing, and how to bring it")
        terminalreporter.write_line("\n".join(lines))


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Whatever real servers the tests ask for."""
    from tests.support.servers import Servers
    from tests.support.workers import ask

    ticket = getattr(request.config, "workerinput", {}).get("servers")
    started = Servers(tmp_path_factory.mktemp("servers"), partial(ask, ticket) if ticket else None)
    yield started
    started.close()


@pytest.fixture(scope="module")
def postgres_url(servers: Servers, request: pytest.FixtureRequest) -> str:
    """SQLAlchemy URL of a fresh, empty database."""
    return servers.postgres(_fresh_name(request).replace("-", "_"))


@pytest.fixture(scope="module")
def s3_settings(servers: Servers, request: pytest.FixtureRequest) -> dict[str, str]:
    """Environment variables of a fresh bucket."""
    return servers.s3(_fresh_name(request))


@pytest.fixture(scope="module")
def s3(s3_settings: dict[str, str]) -> S3Bucket:
    """A fresh bucket."""
    from tests.support.servers import open_s3

    return open_s3(s3_settings)


@pytest.fixture(scope="session")
def mlflow_uri(servers: Servers) -> str:
    """Address of a real MLflow server."""
    return servers.mlflow()


def _fresh_name(request: pytest.FixtureRequest) -> str:
    """A name that says which module it was made for, fit for a bucket and (with underscores) for a database."""
    module = re.sub(r"[^a-z0-9]+", "-", request.node.path.stem.lower()).strip("-")
    return f"{module[:30]}-{secrets.token_hex(4)}"
