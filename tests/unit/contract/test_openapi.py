"""The OpenAPI document of the service may grow; nothing of what clients rely on goes away or changes."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract.openapi import differences

ROOT = Path(__file__).parents[3]
RECORDED: dict[str, Any] = json.loads((ROOT / "tests/contract/recorded/openapi.json").read_text(encoding="utf-8"))
SERVED = """
from pathlib import Path
from inference.backend.inference_api import create_app
Path("served.json").write_bytes(create_app().test_client().get("/api/openapi.json").data)
"""


def test_the_document_that_is_served_says_all_that_was_recorded(tmp_path: Path) -> None:
    nowhere = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1", "POSTGRES_PORT": "1", "HOMEPRICES_STATE_DIR": str(tmp_path)}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "AWS_ACCESS_KEY_ID": "x",
                   "AWS_SECRET_ACCESS_KEY": "x", **nowhere}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", SERVED], cwd=tmp_path, env=environment, capture_output=True, text=True,
                          check=False, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    served = json.loads((tmp_path / "served.json").read_bytes())
    assert list(differences(RECORDED, served)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("paths", "/api/ready"), None),
        (("components", "schemas", "Health", "properties", "refused_for"), None),
        (("components", "schemas", "Home", "properties", "bhk", "maximum"), 60),
        (("components", "schemas", "Home", "required"), ["total_sqft", "location", "bhk", "bath", "balcony"]),
        (("components", "schemas", "Feedback", "properties", "feedback_type", "enum"), ["rating"]),
        (("components", "schemas", "Home", "properties", "society", "pattern"), "^x"),
    ],
)
def test_what_is_taken_away_or_changed_is_found(path: tuple[str, ...], value: Any) -> None:
    changed = copy.deepcopy(RECORDED)
    part = changed
    for name in path[:-1]:
        part = part[name]
    if value is None:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    assert list(differences(RECORDED, changed))


def test_what_is_added_and_other_prose_is_no_difference() -> None:
    grown = copy.deepcopy(RECORDED)
    grown["paths"]["/api/inputs"] = grown["paths"]["/api/ready"]
    schemas = grown["components"]["schemas"]
    schemas["Home"]["properties"]["parking"] = {"type": "integer", "minimum": 0}
    schemas["Feedback"]["properties"]["feedback_type"]["enum"].append("great")
    schemas["Health"]["description"] = "other words"
    assert list(differences(RECORDED, grown)) == []
