"""What the client of the bucket keeps in memory. Its behaviour is held by `tests/contract/bucket.py`."""

import json
import re
from pathlib import Path
from typing import Any

import botocore
from botocore.loaders import JSONFileLoader

from homeprices.adapters.object_store import Descriptions


def test_the_description_of_s3_is_botocores_own_without_documentation() -> None:
    folder = Path(botocore.__file__).parent / "data"
    ours = Descriptions().load_file(f"{folder}/s3/2006-03-01/service-2")
    assert ours == without_documentation(JSONFileLoader().load_file(f"{folder}/s3/2006-03-01/service-2"))
    assert "PutObject" in ours["operations"]
    assert set(re.findall('"documentation": "(.)', json.dumps(ours))) == {'"'}
    assert Descriptions().load_file(f"{folder}/s3/absent") is None


def without_documentation(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: "" if name == "documentation" else without_documentation(one) for name, one in value.items()}
    return [without_documentation(one) for one in value] if isinstance(value, list) else value
