"""A person who types the commands of the documents, in a folder with the files that they name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from homeprices.data import synthetic
from tests.support.document_blocks import Block

ROOT = Path(__file__).parents[2]
HOMES = "total_sqft,location,bhk,bath\n1200,Whitefield,2,2\n1800,Indira Nagar,3,3\n"
PRELUDE = f"""
make() {{ command make --no-print-directory --directory {ROOT} "$@"; }}
curl() {{ command curl --fail-with-body "$@"; }}
"""
SECONDS = 300


def lay_out(folder: Path) -> None:
    """Write the files that a reader has, but for those that come from a stack."""
    for number, name in enumerate(("a.csv", "b.csv")):
        (folder / name).write_bytes(synthetic.make_listings(800, seed=number).to_csv(index=False).encode())
    (folder / "homes.csv").write_text(HOMES)
    policy = (ROOT / "homeprices/experiment/policies/sequential.yaml").read_text()
    (folder / "my-policy.yaml").write_text(policy)
    (folder / ".venv").symlink_to(Path(sys.prefix))


def run(block: Block, text: str, folder: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the text of a block as its language demands."""
    command = ["bash", "-euo", "pipefail", "-c", PRELUDE + text]
    if block.language == "python":
        command = [sys.executable, "-c", text]
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False
    )
