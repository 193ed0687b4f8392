"""MLflow's `loader_module` of a bundle. `training/mlflow_model.py` copies this file into the bundle, next to a copy of
`homeprices.pricing`; the file itself imports nothing of homeprices.

The copy is imported for this bundle only. The process may have imported an installed `homeprices`, the copy of another
bundle, or none, and keeps it unchanged. Otherwise a notebook that compares production with the candidate would price
both with the code of the bundle that it loaded first.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

LIBRARY = "pyfunc/library"
PACKAGE = "homeprices"

_LOCK = threading.Lock()


def _load_pyfunc(path: str) -> Any:
    """Return the model of a bundle folder: `predict` takes a DataFrame. Executes the bundle's own code."""
    folder = Path(path).resolve()
    with _only(folder / LIBRARY):
        model = importlib.import_module(f"{PACKAGE}.pricing.frame_model").FrameModel
        return model(folder)


@contextmanager
def _only(library: Path) -> Iterator[None]:
    """Inside the block, `homeprices` is the package in the folder `library`; then the previous one is restored."""
    with _LOCK:
        outside = _take_out()
        sys.path.insert(0, str(library))
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(str(library))
            _take_out()
            sys.modules.update(outside)


def _take_out() -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]
    return {name: sys.modules.pop(name) for name in names}
