"""References to third-party images and GitHub Actions in the project's files, and how each is pinned.

An image is pinned by the digest of its manifest, `name:tag@sha256:...`. The tag says which release that is. An action
is pinned by commit, `uses: owner/name@commit # v1.2.3`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = (
    "Dockerfile",
    ".devcontainer/Dockerfile",
    ".env.example",
    "docker-compose*.y*ml",
    "*/docker-compose*.y*ml",
    "iac/host/docker-compose*.yml",
    "compose/*.yml",
    "compose/*.sh",
    "kubernetes/**/*.yaml",
    ".github/workflows/*.yml",
)
"""Where an image or an action may be named; patterns from the project's folder."""

IMAGE = re.compile(
    r"(?P<place>_IMAGE(?::-|=|: )|\bimage: |^FROM )"
    r"(?P<name>[a-z0-9]+(?:[./-][a-z0-9]+)*):(?P<tag>[\w.-]+)(?:@(?P<digest>sha256:[0-9a-f]{64})(?![0-9a-f]))?",
    re.MULTILINE,
)
ACTION = re.compile(
    r"(?P<place>\buses: )(?P<name>[\w.-]+/[\w./-]+)@(?P<ref>[\w./-]+)(?: # (?P<tag>v[\w.-]+))?", re.MULTILINE
)
COMMIT = re.compile(r"[0-9a-f]{40}")
OWN = "homeprices-"
"""What the names of the images begin with that are built from this folder."""


@dataclass(frozen=True)
class Reference:
    """An image or an action in a file. `pin`: digest or commit, None without one; `tag`: its release."""

    file: Path
    name: str
    tag: str | None
    pin: str | None

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}"


def files(root: Path = ROOT) -> list[Path]:
    """Return the files that may name an image or an action, sorted."""
    return sorted({path for pattern in FILES for path in root.glob(pattern) if path.is_file()})


def images(root: Path = ROOT) -> list[Reference]:
    """Return every reference to a third-party image, in the order of files and lines."""
    return [reference for file in files(root) for reference in _images_of(file)]


def actions(root: Path = ROOT) -> list[Reference]:
    """Return every reference to an action outside this repository, in the order of files and lines."""
    return [reference for file in files(root) for reference in _actions_of(file)]


def _images_of(file: Path) -> Iterator[Reference]:
    for match in IMAGE.finditer(file.read_text()):
        if not match["name"].startswith(OWN):
            yield Reference(file, match["name"], match["tag"], match["digest"])


def _actions_of(file: Path) -> Iterator[Reference]:
    for match in ACTION.finditer(file.read_text()):
        commit = match["ref"] if COMMIT.fullmatch(match["ref"]) else None
        yield Reference(file, match["name"], match["tag"] if commit else match["ref"], commit)
