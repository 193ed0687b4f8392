"""The first run of a stack: import a dataset, then train until both services serve a model."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from homeprices.adapters.airflow_client import AirflowClient
from homeprices.names import TRAINING_DAG
from homeprices.settings import load_settings
from homeprices.workflows import first_run
from local.stack import ROOT, Stack
from local.supervision import probes, processes
from local.supervision.service_spec import Command


@dataclass
class FirstRun:
    """The steps towards the first models of a stack. `report` gets one line for each activity."""

    stack: Stack
    report: Callable[[str], None]

    @property
    def is_done(self) -> bool:
        """Whether an earlier `up` has completed it."""
        return self._done_file.exists()

    def import_dataset(self, path: Path | None, *, notify: bool) -> None:
        """Store a dataset: the file, or synthetic listings. Raises CommandFailed."""
        first_run.import_dataset(self._homeprices, path, self.stack.folder, notify=notify, say=self.report)

    def wait_for_models(self) -> str:
        """Have the pipeline run until both services serve a model; return one line on what is served.

        Raises NotReady.
        """
        link = f"{self.stack.url('airflow')}/dags/{TRAINING_DAG}"
        with AirflowClient(load_settings(self.stack.environment(), ())) as airflow:
            line = first_run.wait_for_models(airflow, self._served, self.report, link)
        self._done_file.touch()
        return line

    def _served(self) -> dict[str, str | None]:
        return {name: served_version(self.stack.url(name)) for name in ("infer-prod", "infer-cand")}

    def _homeprices(self, arguments: Sequence[str]) -> None:
        command = Command((sys.executable, "-m", "homeprices", *arguments), env=self.stack.environment(), cwd=ROOT)
        processes.run(command, self.stack.mark, self.stack.logs / "dataset.log")

    @property
    def _done_file(self) -> Path:
        return self.stack.folder / "first-run-done"


def served_version(url: str) -> str | None:
    """Return the version that every worker of a service serves, or None."""
    try:
        version = json.loads(probes.fetch(f"{url}/api/health")).get("model_version")
    except (OSError, ValueError):
        return None
    return str(version) if version else None
