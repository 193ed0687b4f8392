"""What stops a service before it answers anybody."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.integration.inference.instance import ROOT
from tests.support.free_ports import free_ports
from tests.support.servers import clean_environment


@pytest.mark.parametrize("key", ["", "   ", "fifteen letters"])
def test_without_a_long_visitor_key_no_service_starts(key: str, tmp_path: object) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "gunicorn", "-c", "inference/backend/gunicorn.conf.py"),
            "inference.backend.inference_api:create_app()",
        ],
        env={
            **clean_environment(),
            "HOMEPRICES_VISITOR_KEY": key,
            "HOMEPRICES_STATE_DIR": str(tmp_path),
            "HOMEPRICES_BIND": f"127.0.0.1:{free_ports(1)[0]}",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line == (
        f"gunicorn: HOMEPRICES_VISITOR_KEY has {len(key.strip())} characters, and needs at least 16; "
        "make one with: openssl rand -hex 16"
    )
