"""Airflow's LocalExecutor, whose tasks find their libraries imported (`[core] executor`).

Each task is a process forked from a worker of the executor, and the scheduler forks the workers when it starts. What
the scheduler has imported by then is in the memory of all of them, once. Otherwise each task imports it again, which
takes more processor time than most tasks need for their work.
"""

from __future__ import annotations

import gc
import importlib

from airflow.executors.local_executor import LocalExecutor
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

LIBRARIES = (
    "airflow.dag_processing.dagbag",
    "airflow.providers.standard.decorators.branch_python",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "boto3.s3.transfer",
    "httpx",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "onnx.helper",
    "pandas",
    "pandera.pandas",
    "psycopg2.extras",
    "pyarrow.parquet",
    "scipy.optimize",
    "scipy.stats",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.pipeline",
)
"""Installed packages that tasks import. No module of the project: tasks run its newest code. No ONNX Runtime: its
import starts a thread, which a forked process would not have."""


class WarmLocalExecutor(LocalExecutor):  # type: ignore[misc]
    """Imports LIBRARIES before it forks its workers."""

    def start(self) -> None:
        """Start the workers."""
        if self.is_mp_using_fork:
            for library in LIBRARIES:
                importlib.import_module(library)
            _ = ProvidersManagerTaskRuntime().asset_uri_handlers  # each asset in a DAG asks for them
        super().start()
        # Otherwise the scheduler's garbage collector writes to every object, and so gets its own copy of every page.
        gc.freeze()
