"""Look for secrets in the images that were built: `make image-secrets`, or `python -m compose.scan_images IMAGE ...`.

Every file of every layer is read, also one that a later layer deletes, and so are the configuration and the history.
Refused are: a value of this machine's `.env`, wherever it stands; outside of installed packages, whose documentation
is full of examples, also anything that has the form of a key; and files that must never get in.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from dotenv import dotenv_values

from compose.make_env import SECRETS

IMAGES = [
    f"homeprices-{name}:local"
    for name in ("inference", "router", "frontend", "exporter", "mlflow", "airflow", "seaweedfs")
]
FORBIDDEN = re.compile(
    r"(^|/)(\.env(\..*)?|\.git|\.stack[^/]*|secrets\.json|id_(rsa|ed25519|ecdsa)|\.netrc|\.pypirc)(/|$)"
)
ALLOWED = re.compile(r"(^|/)\.env\.example$")
OURS = re.compile(r"^(app|build|usr/local/lib/seaweedfs)")
"""Where this project's own files are; the rest comes from the base images and from packages."""

FORMS = {
    "an AWS access key": re.compile(rb"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a Slack webhook": re.compile(rb"hooks\.slack\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]+"),
    "a token": re.compile(rb"\b(ghp|gho|ghs|glpat|xox[abp])[-_][A-Za-z0-9-]{20,}"),
}
SHORTEST_VALUE = 12  # below it a value is a word that stands in many files
LARGEST_FILE = 32 * 2**20
TIMEOUT_SECONDS = 600


def findings(images: Sequence[str], values: dict[str, str]) -> dict[str, list[str]]:
    """What is wrong with each of these images, which the local engine has: a line for each secret."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        subprocess.run(["docker", "save", "-o", archive.name, *images], check=True, timeout=TIMEOUT_SECONDS)
        return scan(Path(archive.name), values)


def scan(archive: Path, values: dict[str, str]) -> dict[str, list[str]]:
    """The same for images that were saved; `values` are secrets by name. A layer that several share is read once."""
    layers: dict[str, list[str]] = {}
    found: dict[str, list[str]] = {}
    with tarfile.open(archive) as saved:
        for entry in json.load(saved.extractfile("manifest.json")):  # type: ignore[arg-type]
            configuration = saved.extractfile(entry["Config"]).read()  # type: ignore[union-attr]
            digests = json.loads(configuration).get("rootfs", {}).get("diff_ids") or entry["Layers"]
            for digest, layer in zip(digests, entry["Layers"], strict=True):
                if digest not in layers:
                    with tarfile.open(fileobj=saved.extractfile(layer)) as files:
                        layers[digest] = list(_layer(files, values))
            lines = [f"its configuration holds {what}" for what in _secrets(configuration, values, forms=True)]
            lines += [line for digest in digests for line in layers[digest]]
            found |= dict.fromkeys(entry["RepoTags"], lines)
    return found


def _layer(files: tarfile.TarFile, values: dict[str, str]) -> Iterator[str]:
    for member in files:
        name = member.name.removeprefix("./")
        ours = OURS.match(name) is not None
        if ours and FORBIDDEN.search(name) and not ALLOWED.search(name):
            yield f"/{name} must not be in an image"
        if (ours or values) and member.isfile() and member.size <= LARGEST_FILE:
            body = files.extractfile(member).read()  # type: ignore[union-attr]
            yield from (f"/{PurePosixPath(name)} holds {what}" for what in _secrets(body, values, forms=ours))


def _secrets(body: bytes, values: dict[str, str], *, forms: bool) -> Iterator[str]:
    yield from (f"the value of {name}" for name, value in values.items() if value.encode() in body)
    if forms:
        yield from (what for what, form in FORMS.items() if form.search(body))


def known_values(env_file: Path) -> dict[str, str]:
    """The secrets of this machine's `.env`, as far as they are long enough to be nothing else."""
    given = dotenv_values(env_file)
    return {name: value for name in SECRETS if (value := given.get(name)) and len(value) >= SHORTEST_VALUE}


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    wanted = list(arguments) or IMAGES
    try:
        ids = _image_ids()
    except (OSError, subprocess.SubprocessError):
        print("image-secrets: not scanned, no Docker engine answers")
        return 1 if arguments else 0
    missing = [image for image in wanted if image not in ids]
    values = known_values(Path(".env"))
    clean = CleanImages(default_file(), values, Path(__file__).read_bytes())
    unknown = [image for image in wanted if image in ids and not clean.knows(ids[image])]
    found = findings(unknown, values) if unknown else {}
    clean.remember(ids[image] for image, lines in found.items() if not lines)
    for image in wanted:
        said = ["is not built here"] if image in missing else found.get(image) or ["holds no secret"]
        print("\n".join(f"image-secrets: {image}: {line}" for line in said))
    return 1 if any(found.values()) or (missing and arguments) else 0


def _image_ids() -> dict[str, str]:
    """The id of every image that this engine has, by its name."""
    form = "{{.Repository}}:{{.Tag}} {{.ID}}"
    command = ["docker", "images", "--no-trunc", "--format", form]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return dict(line.split(" ", 1) for line in listed.stdout.splitlines())


# Remembers which images were found without a secret, so that `make lint` reads an image once and not at every turn.
#
# What is kept are digests of an image's id, the secrets that were looked for, and the code that looked; in the user's
# cache, so that several clones of the project share it.


MOST_REMEMBERED = 200


class CleanImages:
    """The memory in `file`. A file that cannot be read remembers nothing."""

    def __init__(self, file: Path, values: Mapping[str, str], scanner: bytes) -> None:
        self._file = file
        self._looked_for = hashlib.sha256(scanner + json.dumps(sorted(values.items())).encode()).hexdigest()
        self._known = _read(file)

    def knows(self, image_id: str) -> bool:
        """Whether this very image was looked at before, for these secrets, by this code."""
        return self._digest(image_id) in self._known

    def remember(self, image_ids: Iterable[str]) -> None:
        """Keep that these are clean."""
        self._known = [*self._known, *map(self._digest, image_ids)][-MOST_REMEMBERED:]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(self._known))
        draft.replace(self._file)

    def _digest(self, image_id: str) -> str:
        return hashlib.sha256(f"{image_id} {self._looked_for}".encode()).hexdigest()


def default_file() -> Path:
    """Where a user's memory is."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "homeprices" / "clean-images.json"


def _read(file: Path) -> list[str]:
    try:
        return [str(one) for one in json.loads(file.read_text())]
    except (OSError, ValueError, TypeError):
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
