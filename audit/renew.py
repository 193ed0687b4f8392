"""Renew the pins of images and actions: `make pins`.

An image keeps its tag and gets the digest that its registry has for it (`docker buildx imagetools`, which needs no
engine). An action goes to the newest release of its major version (`git ls-remote`). What cannot be looked up keeps
its pin and is named; the exit status is then 1.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from audit import references
from audit.references import ROOT

T = TypeVar("T")

TIMEOUT_SECONDS = 120
RELEASE = re.compile(r"refs/tags/v(\d+)\.(\d+)\.(\d+)(\^\{\})?$")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class NotFound(Exception):
    """Neither a registry nor GitHub answered, or it does not have what was asked for."""


def digest_of(image: str) -> str:
    """Return the digest of `name:tag` in its registry: that of the index, if the image has several platforms."""
    said = _output("docker", "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}").strip()
    if not DIGEST.fullmatch(said):
        raise NotFound(f"{said[:80]!r} is not a digest")
    return said


def newest_release(action: str, major: str) -> tuple[str, str]:
    """Return tag and commit of the newest release of `owner/name` with this major version, such as `v6`."""
    repository = "/".join(action.split("/")[:2])
    lines = _output("git", "ls-remote", "--tags", f"https://github.com/{repository}").splitlines()
    releases: dict[tuple[int, ...], str] = {}
    for commit, name in (line.split("\t") for line in lines):
        # A peeled line, with ^{}, follows that of an annotated tag and names the commit itself.
        if (match := RELEASE.fullmatch(name)) and f"v{match[1]}" == major:
            releases[tuple(int(part) for part in match.groups()[:3])] = commit
    if not releases:
        raise NotFound(f"{repository} has no release {major}.x.y")
    newest = max(releases)
    return "v" + ".".join(map(str, newest)), releases[newest]


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotFound(str(error)) from error
    if done.returncode:
        raise NotFound((done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[0])
    return done.stdout


def renew(root: Path = ROOT) -> tuple[list[str], list[str]]:
    """Rewrite the references below `root`; return a line for each changed pin and for each that was not looked up."""
    changed: list[str] = []
    failed: list[str] = []
    digests = _each((str(image) for image in references.images(root)), digest_of, failed)
    majors = (_major(action.name, action.tag) for action in references.actions(root))
    releases = _each(majors, lambda key: newest_release(*key.split("@")), failed)

    def image(match: re.Match[str]) -> str:
        name = f"{match['name']}:{match['tag']}"
        return f"{match['place']}{name}@{digests[name]}" if name in digests else match[0]

    def action(match: re.Match[str]) -> str:
        key = _major(match["name"], match["tag"] or match["ref"])
        if key not in releases:
            return match[0]
        tag, commit = releases[key]
        return f"{match['place']}{match['name']}@{commit} # {tag}"

    for file in references.files(root):
        before = file.read_text()
        after = references.ACTION.sub(action, references.IMAGE.sub(image, before))
        if after != before:
            file.write_text(after)
            old, new = set(before.splitlines()), after.splitlines()
            changed += [f"{file.relative_to(root)}: {line.strip()}" for line in new if line not in old]
    return changed, failed


def _major(action: str, tag: str | None) -> str:
    """Return `owner/name@v6`, what a release is looked up by."""
    return f"{action}@{(tag or '').split('.')[0]}"


def _each(keys: Iterable[str], look_up: Callable[[str], T], failed: list[str]) -> dict[str, T]:
    found: dict[str, T] = {}
    for key in sorted(set(keys)):
        try:
            found[key] = look_up(key)
        except NotFound as error:
            failed.append(f"{key}: {error}")
    return found


def main() -> int:
    """Run the command line."""
    changed, failed = renew()
    for line in changed:
        print(f"pins: {line}")
    for line in failed:
        print(f"pins: not renewed, {line}", file=sys.stderr)
    print(f"pins: {len(changed)} lines changed, {len(failed)} not looked up")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
