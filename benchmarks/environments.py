"""A separate Python environment for each peer, with the versions that the peer requires."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

# The versions that an installation of the peer gets today, with its dependencies.
REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "mlflow": ("mlflow==3.17.2", "scikit-learn==1.9.*", "pandas<4"),
    "fastapi": ("fastapi", "uvicorn", "scikit-learn==1.9.*", "pandas<4"),
    "bentoml": ("bentoml", "scikit-learn", "pandas<4"),
    "mlserver": ("mlserver", "mlserver-sklearn", "pandas<3"),
    "classic": ("flask", "gunicorn", "psycopg2-binary", "scikit-learn==1.9.*", "pandas<4"),
}
NAMED: dict[str, tuple[str, ...]] = {  # packages whose versions are reported in the results
    "mlflow": ("mlflow", "scikit-learn"),
    "fastapi": ("fastapi", "uvicorn", "scikit-learn"),
    "bentoml": ("bentoml", "scikit-learn"),
    "mlserver": ("mlserver", "scikit-learn"),
    "classic": ("flask", "gunicorn", "scikit-learn"),
}
INSTALL_SECONDS = 1800
_UV = Path(".venv/bin/uv")
_VERSIONS = (
    "import importlib.metadata as m, json, sys; print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
)


def environment(peer: str, home: Path) -> Path:
    """Return the folder of the peer's programs, installed on first use. Raises CalledProcessError."""
    folder = home / "environments" / peer
    wanted = hashlib.sha256("\n".join(REQUIREMENTS[peer]).encode()).hexdigest()
    mark = folder / ".installed"
    if not mark.exists() or mark.read_text() != wanted:
        print(f"installing {peer}", file=sys.stderr)
        _uv("venv", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--python", str(folder / "bin/python"), *REQUIREMENTS[peer])
        mark.write_text(wanted)
    return folder / "bin"


def versions(peer: str, home: Path) -> dict[str, str]:
    """Return the reported versions of a peer."""
    python = environment(peer, home) / "python"
    said = subprocess.run(
        [python, "-c", _VERSIONS, *NAMED[peer]], capture_output=True, text=True, check=True, timeout=60
    )
    found: dict[str, str] = json.loads(said.stdout)
    return found


def _uv(*arguments: str) -> None:
    subprocess.run([_UV, "--quiet", *arguments], check=True, timeout=INSTALL_SECONDS)
