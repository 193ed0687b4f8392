"""`MLmodel`: by this file MLflow takes a bundle for a model of its own, and shows what goes in and what comes out.

`mlflow.pyfunc.load_model("models:/bangalore_home_prices@production")` then loads the bundle from the bucket, with no
copy in between. It takes what the graph takes: an array [N, 1] for each input, texts as `features` makes them.
"""

from __future__ import annotations

import json
import platform
from datetime import datetime
from importlib.metadata import version
from typing import Any

from homeprices.pricing.bundle import MODEL_FILE
from homeprices.pricing.manifest import Columns
from homeprices.pricing.predictor import HIGH_OUTPUT, LOW_OUTPUT, OUTPUT

MLMODEL_FILE = "MLmodel"

_DTYPES = {"number": "float32", "text": "object"}


def mlmodel(columns: Columns, *, created_at: datetime, run_id: str | None) -> str:
    """The content of the file, in JSON, which is YAML too."""
    content = {
        "flavors": {
            "onnx": {"data": MODEL_FILE, "onnx_version": version("onnx"), "providers": ["CPUExecutionProvider"]},
            "python_function": {
                "data": MODEL_FILE,
                "loader_module": "mlflow.onnx",
                "python_version": platform.python_version(),
            },
        },
        "signature": {
            "inputs": json.dumps([_tensor(spec.name, _DTYPES[spec.type]) for spec in columns.inputs]),
            "outputs": json.dumps([_tensor(name, "float32") for name in (OUTPUT, LOW_OUTPUT, HIGH_OUTPUT)]),
        },
        "utc_time_created": created_at.strftime("%Y-%m-%d %H:%M:%S.%f"),
        "run_id": run_id,
    }
    return json.dumps(content, indent=1)


def _tensor(name: str, dtype: str) -> dict[str, Any]:
    return {"type": "tensor", "name": name, "tensor-spec": {"dtype": dtype, "shape": [-1, 1]}}
