"""The checks of the supply chain. Each returns what it found; a check that cannot run here says why."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit import references
from audit.exceptions import Exceptions
from audit.references import ROOT
from compose.scan_images import ALLOWED, FORBIDDEN, IMAGES, known_values, secrets_in

TOOLS = ROOT / ".venv-audit" / "bin"
LOCKS = ("requirements.lock", "compose/uv.txt", "kubernetes/checks.lock", "audit/tools.lock")
VULNERABLE = "jinja2==2.11.2"
"""A release with known vulnerabilities. A service that names none for it knows none of any package."""
SBOM = ROOT / "build" / "sbom" / "environment.cdx.json"
TIMEOUT_SECONDS = 900
COPYLEFT = re.compile(r"(?<!L)GPL|(?<!Lesser )General Public License|AGPL|SSPL|BUSL|Commons.Clause|NonCommercial", re.I)
NOT_A_NAME = {"License :: OSI Approved", "License :: DFSG approved"}


class NotRun(Exception):
    """A check cannot run on this machine; the message says why."""


@dataclass(frozen=True)
class Checked:
    """What a check has seen: how many things, in words, and a line for each finding."""

    seen: str
    findings: tuple[str, ...] = ()


def pins(accepted: Exceptions, root: Path = ROOT) -> Checked:
    """Every image has a digest, the same in all files, or is an exception; every action has a commit and a release."""
    images, actions = references.images(root), references.actions(root)
    found = [
        f"{image.file.relative_to(root)}: {image} has no digest; run `make pins`"
        for image in images
        if image.pin is None and str(image) not in accepted.images
    ]
    found += [
        f"{action.file.relative_to(root)}: {action.name} is not pinned by commit with its release; run `make pins`"
        for action in actions
        if action.pin is None or action.tag is None
    ]
    for name in sorted({str(reference) for reference in [*images, *actions]}):
        if len(pins_of := {reference.pin for reference in [*images, *actions] if str(reference) == name}) > 1:
            found.append(f"{name} has different pins: {sorted(map(str, pins_of))}")
    unused = set(accepted.images) - {str(image) for image in images if image.pin is None}
    found += [f"audit/exceptions.toml: {name} is pinned or unused; remove its exception" for name in sorted(unused)]
    return Checked(f"{len(images)} references to images, {len(actions)} to actions", tuple(found))


def workflows() -> Checked:
    """The workflows, by zizmor without network, and the schemas of GitHub's and Renovate's files."""
    found: list[str] = []
    files = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    checked = {
        "vendor.github-workflows": files,
        "vendor.github-issue-forms": sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")),
        "vendor.renovate": [ROOT / ".github/renovate.json"],
    }
    for schema, named in checked.items():
        done = _run(TOOLS / "check-jsonschema", "--builtin-schema", schema, *named)
        found += done.stdout.splitlines() if done.returncode else []
    done = _run(TOOLS / "zizmor", "--offline", "--no-progress", "--format", "plain", ROOT / ".github" / "workflows")
    found += [line for line in done.stdout.splitlines() if line] if done.returncode else []
    return Checked(f"{len(files)} workflows", tuple(found))


def secrets(root: Path = ROOT) -> Checked:
    """No file under version control holds a value of this machine's `.env`, or anything with the form of a key."""
    if shutil.which("git") is None:
        raise NotRun("git is not installed")
    done = _run("git", "-C", root, "ls-files", "-z")
    if done.returncode:
        raise NotRun("this folder is not a clone")
    names = [name for name in done.stdout.split("\0") if name and (root / name).is_file()]
    values = known_values(root / ".env")
    found = [f"{name} must not be under version control" for name in names if _forbidden(name)]
    for name in names:
        found += [f"{name} holds {what}" for what in secrets_in((root / name).read_bytes(), values, forms=True)]
    return Checked(f"{len(names)} files", tuple(found))


def _forbidden(name: str) -> bool:
    return bool(FORBIDDEN.search(name)) and not ALLOWED.search(name)


def sbom() -> Checked:
    """Write the SBOM of the environment, CycloneDX as JSON, to `build/sbom/`."""
    SBOM.parent.mkdir(parents=True, exist_ok=True)
    done = _run(TOOLS / "cyclonedx-py", "environment", "--output-reproducible", "-o", SBOM, ROOT / ".venv")
    if done.returncode:
        return Checked("no SBOM", (done.stderr.strip().splitlines()[-1],))
    return Checked(f"{SBOM.relative_to(ROOT)}, {len(_components(SBOM))} packages")


def licences(accepted: Exceptions, file: Path = SBOM) -> Checked:
    """Every package of the SBOM names a licence, and none that would bind the product, except those accepted."""
    found: list[str] = []
    packages = {component["name"].lower(): _licences(component) for component in _components(file)}
    for name, named in sorted(packages.items()):
        if name in accepted.licences:
            continue
        if not set(named) - NOT_A_NAME:
            found.append(f"{name} names no licence")
        elif any(COPYLEFT.search(licence) for licence in named):
            found.append(f"{name}: {', '.join(named)}")
    found += [f"audit/exceptions.toml: {name} is not installed" for name in set(accepted.licences) - set(packages)]
    return Checked(f"{len(packages)} packages", tuple(found))


def _components(file: Path) -> list[dict[str, Any]]:
    return list(json.loads(file.read_text())["components"])


def _licences(component: dict[str, Any]) -> list[str]:
    named = (entry.get("expression") or entry["license"] for entry in component.get("licenses", []))
    return [one if isinstance(one, str) else one.get("id") or one["name"].splitlines()[0] for one in named]


def vulnerabilities(accepted: Exceptions, locks: Sequence[str] = LOCKS) -> Checked:
    """No locked package has a known vulnerability, by pip-audit. It is asked first for a release that has some."""
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / "known.txt"
        known.write_text(f"{VULNERABLE}\n")
        _, findings = _pip_audit("--requirement", known, "--no-deps")
    if not findings:
        raise NotRun("no vulnerability service answers")
    count, found = 0, []
    for lock in locks:
        audited, findings = _pip_audit("--requirement", ROOT / lock, "--require-hashes")
        count += audited
        found += [f"{lock}: {line}" for name, line in findings if name not in accepted.vulnerabilities]
    found += [f"audit/exceptions.toml: the exception for {name} has ended" for name in accepted.expired]
    return Checked(f"{count} packages of {len(locks)} locks", tuple(found))


def _pip_audit(*options: str | Path) -> tuple[int, list[tuple[str, str]]]:
    """Return how many packages the service knew, and id and line of each finding; one it does not know is a finding."""
    done = _run(TOOLS / "pip-audit", "--disable-pip", "--progress-spinner", "off", "--format", "json", *options)
    if not done.stdout:
        raise NotRun((done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1][:200])
    audited, found = 0, []
    for package in json.loads(done.stdout)["dependencies"]:
        if reason := package.get("skip_reason"):
            # Only a service that knows none at all is a reason not to run: `vulnerabilities` has asked for that.
            found += [] if package["name"] in VULNERABLE else [(package["name"], reason)]
            continue
        audited += 1
        for one in package["vulns"]:
            repaired = ", ".join(one["fix_versions"]) or "no release"
            found.append((one["id"], f"{package['name']} {package['version']}: {one['id']}, repaired in {repaired}"))
    return audited, found


def image_vulnerabilities(accepted: Exceptions, images: Iterable[str] = IMAGES) -> Checked:
    """No built image has a vulnerability of level HIGH or CRITICAL that a release repairs, by Trivy."""
    if shutil.which("trivy") is None:
        raise NotRun("trivy is not installed")
    if _run("docker", "info").returncode:
        raise NotRun("no Docker engine answers")
    if missing := [image for image in images if _run("docker", "image", "inspect", image).returncode]:
        raise NotRun(f"{', '.join(missing)} not built; run `make images`")
    found: list[str] = []
    with tempfile.NamedTemporaryFile("w", suffix=".trivyignore") as ignored:
        ignored.write("\n".join(accepted.vulnerabilities))
        ignored.flush()
        policy = ("--scanners", "vuln", "--severity", "HIGH,CRITICAL", "--ignore-unfixed", "--exit-code", "1")
        for image in images:
            done = _run("trivy", "image", "--quiet", *policy, "--ignorefile", ignored.name, image)
            found += (
                [f"{image}: {line}" for line in (done.stdout or done.stderr).splitlines()] if done.returncode else []
            )
    return Checked(f"{len(list(images))} images", tuple(found))


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
