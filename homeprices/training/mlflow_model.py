"""The files that make a bundle an MLflow model: `MLmodel`, the pricing code, its requirements and an input example.

`mlflow.pyfunc.load_model("models:/bangalore_home_prices@production")` and `mlflow models serve` read the bundle from
the bucket, without a copy, and price a DataFrame as the API does. The bundle carries the code for that, so it prices
the same where `homeprices` is not installed or has another revision. Nothing is unpickled. Serving never executes it.
"""

from __future__ import annotations

import json
import platform
import shutil
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import homeprices
from homeprices.pricing import pyfunc_loader
from homeprices.pricing.bundle import MODEL_FILE
from homeprices.pricing.frame_model import ANSWERED
from homeprices.pricing.inputs import INPUTS, SPELT
from homeprices.words import PRICE_UNIT

MLMODEL_FILE = "MLmodel"
CODE_FOLDER = "pyfunc"
LOADER = "homeprices_bundle"
LIBRARIES = ("numpy", "onnxruntime", "pandas", "pydantic")
"""What the code of a bundle imports."""

_COPIED = (
    "__init__.py",
    "errors.py",
    "foreign_text.py",
    "input_field.py",
    "names.py",
    "pricing/*.py",
    "tables/__init__.py",
    "tables/cells.py",
    "tables/quantities.py",
    "tables/units.py",
    "words.py",
)
_REQUIREMENTS_FILE, _ENVIRONMENT_FILE = "requirements.txt", "python_env.yaml"
_EXAMPLE_FILE, _SERVING_EXAMPLE_FILE = "input_example.json", "serving_input_example.json"


def write_mlflow_model(out: Path, *, created_at: datetime, run_id: str | None) -> None:
    """Write every file of the MLflow model into a bundle folder; `run_id` is the run that trained it."""
    _copy_code(out)
    (out / _REQUIREMENTS_FILE).write_text(
        "".join(f"{line}\n" for line in ("mlflow>=3", *(f"{library}=={version(library)}" for library in LIBRARIES)))
    )
    environment = {
        "python": platform.python_version(),
        "build_dependencies": ["pip"],
        "dependencies": [f"-r {_REQUIREMENTS_FILE}"],
    }
    _write(out / _ENVIRONMENT_FILE, environment)
    _write(out / _EXAMPLE_FILE, _example())
    _write(out / _SERVING_EXAMPLE_FILE, {"dataframe_split": _example()})
    _write(out / MLMODEL_FILE, _mlmodel(created_at, run_id))


def _copy_code(out: Path) -> None:
    package, library = Path(str(homeprices.__file__)).parent, out / pyfunc_loader.LIBRARY
    for path in sorted(path for pattern in _COPIED for path in package.glob(pattern)):
        target = library / package.name / path.relative_to(package)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    shutil.copyfile(str(pyfunc_loader.__file__), out / CODE_FOLDER / f"{LOADER}.py")


def _mlmodel(created_at: datetime, run_id: str | None) -> dict[str, Any]:
    """The content of `MLmodel`, written as JSON, which is valid YAML."""
    # MLflow rejects whole numbers where the signature has `double`, and columns of text or None. So the signature
    # allows any type, and the rules of the API apply.
    spelt = {spelling.name for spelling in SPELT.values()}
    taken = [_column(field.name, "any", required=field.required and field.name not in spelt) for field in INPUTS]
    return {
        "flavors": {
            "onnx": {"data": MODEL_FILE, "onnx_version": version("onnx"), "providers": ["CPUExecutionProvider"]},
            "python_function": {
                "loader_module": LOADER,
                "code": CODE_FOLDER,
                "env": {"virtualenv": _ENVIRONMENT_FILE},
                "python_version": platform.python_version(),
            },
        },
        "signature": {
            "inputs": json.dumps([*taken, *(_column(name, "any", required=False) for name in SPELT)]),
            "outputs": json.dumps([_column(name, "double", required=True) for name in ANSWERED]),
        },
        "saved_input_example_info": {
            "artifact_path": _EXAMPLE_FILE,
            "type": "dataframe",
            "pandas_orient": "split",
            "serving_input_path": _SERVING_EXAMPLE_FILE,
        },
        "metadata": {
            **{field.name: f"{field.description}{'' if field.required else ' (optional)'}" for field in INPUTS},
            **{
                column: f"the dataset's spelling of {one.name}, such as {one.example}; one of the two is required"
                for column, one in SPELT.items()
            },
            **dict.fromkeys(ANSWERED, PRICE_UNIT),
        },
        "utc_time_created": created_at.strftime("%Y-%m-%d %H:%M:%S.%f"),
        "run_id": run_id,
    }


def _column(name: str, kind: str, *, required: bool) -> dict[str, Any]:
    return {"name": name, "type": kind, "required": required}


def _example() -> dict[str, Any]:
    """Two items: with every input, and with the required ones only."""
    full = [field.example for field in INPUTS]
    least = [field.example if field.required else None for field in INPUTS]
    return {"columns": [field.name for field in INPUTS], "data": [full, least]}


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1))
