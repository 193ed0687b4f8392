"""Runs a notebook in the Jupyter kernel of this Python.

`python -m tests.support.notebook PATH` runs it on the running stack and keeps its outputs.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

CELL_SECONDS = 300


def run(path: Path, environ: Mapping[str, str]) -> Any:
    """Return the notebook with the outputs of its cells. Raises CellExecutionError, which shows the cell and its error.

    The kernel runs in the folder of the notebook, with these environment variables.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as sockets:  # which only this user can open; TCP ports are open to every user
        client = NotebookClient(
            notebook, kernel_name="python3", timeout=CELL_SECONDS, resources={"metadata": {"path": str(path.parent)}}
        )
        kernel = client.create_kernel_manager()
        kernel.transport, kernel.ip = "ipc", f"{sockets}/kernel"
        client.execute(env=dict(environ))
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of the run, which are another in each
    return notebook


def main(path: Path) -> None:
    """Run the notebook and write its outputs into it."""
    notebook = run(path, os.environ)
    notebook.metadata.language_info = {"name": "python"}  # its version is that of the machine
    nbformat.write(notebook, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
