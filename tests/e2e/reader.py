"""A person who types the commands of the documents, on a running stack."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import httpx

from homeprices.pricing.manifest import REFERENCE_FILE
from homeprices.registry import versions
from tests.e2e.running_stack import RunningStack
from tests.support import reader
from tests.support.document_blocks import Block


class Reader:
    """Types in `folder`, where every file is that a document names, as an ordinary user of the stack."""

    def __init__(self, stack: RunningStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        reader.lay_out(folder)
        reference = stack.resources.bucket.get(f"{versions.folder('BO1')}{REFERENCE_FILE}").body
        (folder / "reference.json").write_bytes(reference)
        made = stack.python(
            "-m", "homeprices", "keys", "create", "--scope", "predict,batch,operate", "--note", "reader"
        )
        assert made.returncode == 0, made.stderr
        [key] = re.findall(r"\bhp_\S+", made.stdout)
        self._environ = {**stack.tool_environ, "KEY": key}

    def runs(self, block: Block) -> subprocess.CompletedProcess[str]:
        """Run a block, with the ports of the stack in place of those of the documents."""
        self._export_visits()
        return reader.run(block, self._at_this_stack(block.text), self._folder, self._environ)

    def _at_this_stack(self, text: str) -> str:
        here = self._stack.router.removeprefix("http://")
        return re.sub(r"(localhost|127\.0\.0\.1):7000\b", here, text)

    def _export_visits(self) -> None:
        """Write the logged visits, one a line."""
        answer = httpx.get(f"{self._stack.router}/api/logs", params={"type": "predictions", "limit": 100}, timeout=20)
        lines = [json.dumps(visit) for visit in answer.raise_for_status().json()["logs"]]
        (self._folder / "visits.jsonl").write_text("\n".join(lines) + "\n")
