"""A Docker engine, the images, and one running stack for the tests."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.compose.compose_stack import (
    OFFLINE_IMAGES,
    PATIENCE,
    ROOT,
    ComposeStack,
    images,
    seconds_since,
    third_party_images,
)
from tests.support.programs import DOCKER

OWN = ("seaweedfs", "inference", "exporter", "router", "frontend", "mlflow", "airflow")
STORY = ("test_compose_files", "test_images", "test_start", "test_watched", "test_faults", "test_pages", "test_release",
         "test_pooled", "test_workers", "test_kept")  # fmt: skip
"""A story on one stack: found, started, watched, hurt, looked at, decided, pooled, stopped, scaled, lost, restored."""
TEST_SECONDS = 1800 * PATIENCE
FIGURES = ROOT / "build" / "compose-figures.json"
BUILD_SECONDS = 3600
SEEN: dict[str, object] = {}
CHAPTERS: dict[str, dict[str, float]] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the chapters, and give each test the timeout of a whole stack."""
    ours = [item for item in items if item.path.parent == Path(__file__).parent]
    for item in ours:
        item.add_marker(pytest.mark.timeout(TEST_SECONDS))
    items[:] = [item for item in items if item not in ours] + sorted(ours, key=lambda i: STORY.index(i.path.stem))


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """A Docker engine with the public images, or substitutes without a registry. Skips all tests without an engine."""
    if OFFLINE_IMAGES.exists():
        subprocess.run([str(OFFLINE_IMAGES), *third_party_images().values()], check=True, timeout=BUILD_SECONDS)
    DOCKER.require()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count passed tests and the duration of each chapter."""
    name = Path(report.location[0])
    if name.parent.name == "compose":
        chapter = CHAPTERS.setdefault(name.stem, {"passed": 0, "seconds": 0.0})
        chapter["passed"] += report.when == "call" and report.passed
        chapter["seconds"] = round(chapter["seconds"] + report.duration, 1)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Write the figures to build/compose-figures.json, including the last teardown."""
    if SEEN:
        machine = f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB"
        FIGURES.parent.mkdir(exist_ok=True)
        FIGURES.write_text(json.dumps({"machine": machine, "chapters": CHAPTERS, **SEEN}, indent=2) + "\n")


@pytest.fixture(scope="session")
def figures() -> dict[str, object]:
    """The measured figures."""
    return SEEN


@pytest.fixture(scope="session")
def stack(engine: None, figures: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeStack]:
    """A built stack, not started; removed with its volumes at the end."""
    running = ComposeStack(_folder(tmp_path_factory))
    if running.run("docker", "buildx", "version", check=False).returncode:
        running.environ["DOCKER_BUILDKIT"] = "0"
    names = [f"homeprices-{name}:{os.environ.get('IMAGE_TAG', 'local')}" for name in OWN]
    before = running.run("docker", "image", "inspect", *names, check=False).returncode == 0
    figures["built"] = "on what an earlier build has left" if before else "from nothing but its base"
    started = time.monotonic()
    running.run("sh", "compose/build.sh", seconds=BUILD_SECONDS)
    figures["build_seconds"] = seconds_since(started)
    figures["image_bytes"] = images(running, names)
    bases = [running.environ[variable] for variable in ("PYTHON_IMAGE", "SEAWEEDFS_IMAGE")]
    python, seaweedfs = images(running, bases).values()
    figures["base_bytes"] = {name: seaweedfs if "-seaweedfs:" in name else python for name in names}
    running.down("--volumes")
    try:
        yield running
    finally:
        running.down("--volumes")


def _folder(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("compose")
