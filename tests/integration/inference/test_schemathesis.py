"""Schemathesis sends valid and invalid requests: no response is a 5xx, and all are documented."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from homeprices.adapters.object_store import S3Bucket
from tests.integration.inference.conftest import Make
from tests.integration.inference.instance import ROOT, eventually, publish
from tests.support.servers import clean_environment

EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "10"))  # an operation; `make test-contract` asks for more
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


def test_nothing_that_the_contract_can_say_leads_to_a_5xx_or_an_undocumented_answer(
    make: Make, s3: S3Bucket, tmp_path: Path
) -> None:
    publish(s3, tmp_path / "made", "BO90")
    instance = make("contract", WEB_CONCURRENCY="1")
    instance.start()
    eventually(lambda: instance.serves("BO90"), "BO90 served")
    eventually(lambda: instance.health()["database"] == "up", "the database known to be there")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", "inference/openapi.json"),
            *("--url", f"http://127.0.0.1:{instance.port}", "--checks", ",".join(CHECKS)),
            *("--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none", "--no-color"),
        ],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2000:]
    assert "No issues found" in run.stdout, run.stdout[-5000:]
