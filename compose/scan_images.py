"""Scan the built images for secrets: `make image-secrets`, or `python -m compose.scan_images IMAGE ...`.

The scan reads every file of every layer (also files that a later layer deletes), the configuration and the history. It
reports a value of this machine's `.env` anywhere, and in the project's own files also anything with the form of a key
and forbidden files. Installed packages are exempt from the latter, because their documentation has example keys.

Digests of clean images are cached, so that `make lint` scans an image once. A digest covers the image's id, the
secrets, and the code of this scanner. The cache is in the user's cache folder, which several clones share.
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
"""The folders of this project's own files; the rest comes from the base images and from packages."""

FORMS = {
    "an AWS access key": re.compile(rb"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a Slack webhook": re.compile(rb"hooks\.slack\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]+"),
    "a token": re.compile(rb"\b(ghp|gho|ghs|glpat|xox[abp])[-_][A-Za-z0-9-]{20,}"),
}
MIN_VALUE_LENGTH = 12  # a shorter value may be a common word
MAX_FILE_BYTES = 32 * 2**20
MAX_CACHED = 200
TIMEOUT_SECONDS = 600


def findings(images: Sequence[str], values: dict[str, str]) -> dict[str, list[str]]:
    """Return the findings in each of these images of the local engine: one line for each secret."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        subprocess.run(["docker", "save", "-o", archive.name, *images], check=True, timeout=TIMEOUT_SECONDS)
        return scan(Path(archive.name), values)


def scan(archive: Path, values: dict[str, str]) -> dict[str, list[str]]:
    """Return the findings in an archive of saved images; `values` are secrets by name. Shared layers are read once."""
    layers: dict[str, list[str]] = {}
    by_image: dict[str, list[str]] = {}
    with tarfile.open(archive) as saved:
        for entry in json.load(saved.extractfile("manifest.json")):  # type: ignore[arg-type]
            configuration = saved.extractfile(entry["Config"]).read()  # type: ignore[union-attr]
            digests = json.loads(configuration).get("rootfs", {}).get("diff_ids") or entry["Layers"]
            for digest, layer in zip(digests, entry["Layers"], strict=True):
                if digest not in layers:
                    with tarfile.open(fileobj=saved.extractfile(layer)) as files:
                        layers[digest] = list(_layer(files, values))
            lines = [f"its configuration holds {what}" for what in secrets_in(configuration, values, forms=True)]
            lines += [line for digest in digests for line in layers[digest]]
            by_image |= dict.fromkeys(entry["RepoTags"], lines)
    return by_image


def _layer(files: tarfile.TarFile, values: dict[str, str]) -> Iterator[str]:
    for member in files:
        name = member.name.removeprefix("./")
        ours = OURS.match(name) is not None
        if ours and FORBIDDEN.search(name) and not ALLOWED.search(name):
            yield f"/{name} must not be in an image"
        if (ours or values) and member.isfile() and member.size <= MAX_FILE_BYTES:
            body = files.extractfile(member).read()  # type: ignore[union-attr]
            yield from (f"/{PurePosixPath(name)} holds {what}" for what in secrets_in(body, values, forms=ours))


def secrets_in(body: bytes, values: Mapping[str, str], *, forms: bool) -> Iterator[str]:
    """Yield what a file holds: a value of `values`, secrets by name, and with `forms` what looks like a key."""
    yield from (f"the value of {name}" for name, value in values.items() if value.encode() in body)
    if forms:
        yield from (what for what, form in FORMS.items() if form.search(body))


def known_values(env_file: Path) -> dict[str, str]:
    """Return the secrets of this machine's `.env` that are long enough not to be common words."""
    variables = dotenv_values(env_file)
    return {name: value for name in SECRETS if (value := variables.get(name)) and len(value) >= MIN_VALUE_LENGTH}


def main(arguments: Sequence[str]) -> int:
    """Run the command line."""
    images = list(arguments) or IMAGES
    try:
        ids = _image_ids()
    except (OSError, subprocess.SubprocessError):
        print("image-secrets: not scanned, no Docker engine answers")
        return 1 if arguments else 0
    missing = [image for image in images if image not in ids]
    values = known_values(Path(".env"))
    clean = CleanImages(default_file(), values, Path(__file__).read_bytes())
    unknown = [image for image in images if image in ids and not clean.knows(ids[image])]
    by_image = findings(unknown, values) if unknown else {}
    clean.remember(ids[image] for image, lines in by_image.items() if not lines)
    for image in images:
        lines = ["is not built here"] if image in missing else by_image.get(image) or ["holds no secret"]
        print("\n".join(f"image-secrets: {image}: {line}" for line in lines))
    return 1 if any(by_image.values()) or (missing and arguments) else 0


def _image_ids() -> dict[str, str]:
    """Return the id of every image of the local engine, by name."""
    form = "{{.Repository}}:{{.Tag}} {{.ID}}"
    command = ["docker", "images", "--no-trunc", "--format", form]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return dict(line.split(" ", 1) for line in listed.stdout.splitlines())


class CleanImages:
    """The cache of clean images in `file`. A missing or damaged file counts as empty."""

    def __init__(self, file: Path, values: Mapping[str, str], scanner: bytes) -> None:
        self._file = file
        self._key = hashlib.sha256(scanner + json.dumps(sorted(values.items())).encode()).hexdigest()
        self._known = _read(file)

    def knows(self, image_id: str) -> bool:
        """Whether the same code has scanned this image for the same secrets and found none."""
        return self._digest(image_id) in self._known

    def remember(self, image_ids: Iterable[str]) -> None:
        """Store that these images are clean."""
        self._known = [*self._known, *map(self._digest, image_ids)][-MAX_CACHED:]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(self._known))
        draft.replace(self._file)

    def _digest(self, image_id: str) -> str:
        return hashlib.sha256(f"{image_id} {self._key}".encode()).hexdigest()


def default_file() -> Path:
    """Return the path of the user's cache file."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "homeprices" / "clean-images.json"


def _read(file: Path) -> list[str]:
    try:
        return [str(one) for one in json.loads(file.read_text())]
    except (OSError, ValueError, TypeError):
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
