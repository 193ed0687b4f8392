"""A trained bundle is what it was at the revision that `tests/pinned` tells of: the graph to the byte, files, members.

The digests are those of x86-64. Threads change no bit. The linear models are fitted by BLAS, whose sums do depend on
the kind of core, so the kernels of one kind are asked for. The distilled model does not depend on it: its teacher uses
BLAS, too, and rounds. NumPy's logarithm differs in the last bit between processors
with and without AVX-512, so training rounds it (`rounded_log`). On other processors than x86-64, prices and files are
compared all the same.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from homeprices.adapters.object_store import MemoryBucket
from tests.support.models import publish_candidate
from tests.support.servers import clean_environment
from tests.support.stored import key_pattern, members, pinned

ROOT = Path(__file__).parents[3]
MODELS, NAMES = pinned("models.json"), pinned("stored_names.json")


@pytest.fixture(scope="module", params=sorted(MODELS))
def estimator(request: pytest.FixtureRequest) -> str:
    """The name of each pinned estimator."""
    return str(request.param)


@pytest.fixture(scope="module")
def draft(estimator: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A draft bundle from a process in which BLAS uses the kernels of one kind of core."""
    return trained(estimator, tmp_path_factory.mktemp("pinned") / "draft", core="Haswell")


def trained(estimator: str, folder: Path, core: str) -> Path:
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.models", estimator, str(folder)]
    environment = {**clean_environment(), "OPENBLAS_CORETYPE": core}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=600)
    return folder


def document(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_the_graph_is_the_same_to_the_byte(draft: Path, estimator: str) -> None:
    if platform.machine() == "x86_64":
        assert hashlib.sha256((draft / "model.onnx").read_bytes()).hexdigest() in MODELS[estimator]["sha256"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernels are those of x86-64")
@pytest.mark.parametrize("core", ["Prescott", "Zen"])
def test_the_distilled_model_is_the_same_whatever_kernels_blas_uses(core: str, tmp_path: Path) -> None:
    graph = (trained("distilled", tmp_path / "draft", core) / "model.onnx").read_bytes()
    assert hashlib.sha256(graph).hexdigest() in MODELS["distilled"]["sha256"]


def test_its_golden_homes_have_the_same_prices_and_intervals(draft: Path, estimator: str) -> None:
    golden, expected = document(draft / "draft.json")["golden"], MODELS[estimator]["golden"]
    assert [home["input"] for home in golden] == [home["input"] for home in expected]
    for name in ("estimated_price", "low", "high"):
        assert [home[name] for home in golden] == pytest.approx([home[name] for home in expected], rel=1e-6)


@pytest.mark.parametrize("name", ["columns.json", "quality.json", "validation.json"])
def test_its_documents_have_the_same_members(draft: Path, name: str) -> None:
    held = NAMES["members"][f"models/price_check_{{version}}/{name}"]
    assert members(document(draft / name), held["free"]) == set(held["members"])


def test_its_reference_has_the_same_members(draft: Path, estimator: str) -> None:
    free = NAMES["members"]["models/price_check_{version}/reference.json"]["free"]
    assert members(document(draft / "reference.json"), free) == set(MODELS[estimator]["reference_members"])


def test_it_is_staged_claimed_and_published_under_the_same_keys_with_the_same_manifest(draft: Path) -> None:
    bucket = MemoryBucket()
    publish_candidate(bucket, draft)
    keys = {entry.key for entry in bucket.list("")}
    assert {key_pattern(key) for key in keys} == set(NAMES["keys_of_a_published_candidate"])
    held = NAMES["members"]["models/price_check_{version}/manifest.json"]
    manifest = json.loads(bucket.get("models/price_check_CO1/manifest.json").body)
    assert members(manifest, held["free"]) == set(held["members"])
    claim = NAMES["members"]["claims/{version}.json"]
    assert members(json.loads(bucket.get("claims/CO1.json").body)) == set(claim["members"])
