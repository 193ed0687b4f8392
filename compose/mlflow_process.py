"""MLflow's tracking server in one process: `python -m compose.mlflow_process --serve-artifacts` is `mlflow server`.

MLflow's own command imports all of MLflow, starts uvicorn as another process, which imports all of it again, and keeps
its memory until uvicorn ends. Here uvicorn serves in the process of the command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

# Before MLflow, which checks the Host of requests only if the program has loaded a web server by then.
from uvicorn.main import main as uvicorn


def serve_here(command: Sequence[str], *, extra_env: Mapping[str, str], **_options: Any) -> NoReturn:
    """Do in this process what `command` would do in another: `python -m uvicorn ARGUMENTS`. Ends by SystemExit."""
    _python, _option, module, *arguments = command
    if module != "uvicorn":
        raise ValueError(f"MLflow starts {module}, and this process can only become uvicorn")
    os.environ.update(extra_env)
    uvicorn(arguments, prog_name="uvicorn")
    sys.exit()


def run(*arguments: str) -> NoReturn:
    """Run `mlflow server ARGUMENTS` with one worker. Ends by SystemExit."""
    import mlflow.server
    from mlflow.cli import cli  # takes seconds, and needs the settings

    mlflow.server._exec_cmd = serve_here
    cli(["server", *arguments, "--workers", "1"], prog_name="mlflow")
    sys.exit()


if __name__ == "__main__":
    run(*sys.argv[1:])
