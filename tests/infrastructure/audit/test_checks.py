"""What `make audit` finds, and that a check which cannot run says so and never passes for one that found nothing."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from audit import __main__ as command
from audit import checks
from audit.checks import NotRun, licences, secrets, vulnerabilities
from audit.exceptions import BadException, Exceptions, read
from audit.references import ROOT
from tests.support.programs import GIT

TODAY = dt.date(2030, 6, 1)
KNOWN = {"name": "jinja2", "version": "2.11.2", "vulns": [{"id": "PYSEC-2021-66", "fix_versions": ["2.11.3"]}]}
SOUND = {"name": "flask", "version": "3.1.0", "vulns": []}
FAULTY = {"name": "werkzeug", "version": "3.0.0", "vulns": [{"id": "PYSEC-2030-1", "fix_versions": []}]}
UNKNOWN = {"name": "private", "skip_reason": "Dependency not found on PyPI"}
ABSENT = {"name": "jinja2", "skip_reason": "Dependency not found on PyPI"}


@pytest.fixture
def pip_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set what `pip-audit` says of the release that is known to be vulnerable, and then of a lock."""
    monkeypatch.setattr(checks, "TOOLS", tmp_path)

    def says(known: object, lock: object) -> None:
        (tmp_path / "known.json").write_text(json.dumps({"dependencies": [known]}))
        (tmp_path / "lock.json").write_text(json.dumps({"dependencies": lock}))
        program = tmp_path / "pip-audit"
        program.write_text(
            f'#!/bin/sh\ncase "$*" in *--no-deps*) cat {tmp_path}/known.json ;; *) cat {tmp_path}/lock.json ;; esac\n'
        )
        program.chmod(0o755)

    return says


def test_a_service_that_knows_no_vulnerability_of_any_package_is_not_a_clean_audit(pip_audit: Any) -> None:
    pip_audit(ABSENT, [ABSENT])
    with pytest.raises(NotRun, match="no vulnerability service answers"):
        vulnerabilities(Exceptions())


def test_a_tool_that_fails_is_not_a_clean_audit(tmp_path: Path, pip_audit: Any) -> None:
    pip_audit(KNOWN, [])
    (tmp_path / "pip-audit").write_text("#!/bin/sh\necho 'no route to host' >&2\nexit 1\n")
    with pytest.raises(NotRun, match="no route to host"):
        vulnerabilities(Exceptions())


def test_a_known_vulnerability_and_a_package_the_service_does_not_know_are_findings(pip_audit: Any) -> None:
    pip_audit(KNOWN, [SOUND, FAULTY, UNKNOWN])
    result = vulnerabilities(Exceptions(), ["requirements.lock"])
    assert result.seen == "2 packages of 1 locks"
    assert result.findings == (
        "requirements.lock: werkzeug 3.0.0: PYSEC-2030-1, repaired in no release",
        "requirements.lock: Dependency not found on PyPI",
    )


def test_an_accepted_vulnerability_is_none_until_its_exception_ends(pip_audit: Any) -> None:
    pip_audit(KNOWN, [FAULTY])
    accepted = Exceptions(vulnerabilities={"PYSEC-2030-1": "not called"})
    assert vulnerabilities(accepted, ["requirements.lock"]).findings == ()
    ended = vulnerabilities(Exceptions(expired=("PYSEC-2030-1",)), ["requirements.lock"]).findings
    assert len(ended) == 2 and "has ended" in ended[1]


def test_every_lock_of_the_project_is_audited() -> None:
    folders = [folder for folder in ROOT.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    files = [file for place in (ROOT, *folders) for file in [*place.glob("*.lock"), *place.glob("*.txt")]]
    found = {file.relative_to(ROOT).as_posix() for file in files if "--hash=sha256:" in file.read_text()}
    assert found == set(checks.LOCKS)


def component(name: str, *named: str) -> dict[str, Any]:
    return {"name": name, "licenses": [{"license": {"name": text}} for text in named]}


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (["MIT"], False),
        (["Apache-2.0 OR MIT"], False),
        (["LGPL-3.0"], False),
        (["License :: OSI Approved :: GNU Library or Lesser General Public License (LGPL)"], False),
        ([], True),
        (["License :: OSI Approved"], True),
        (["GPL-3.0-only"], True),
        (["AGPL-3.0"], True),
        (["License :: OSI Approved :: GNU General Public License v3 (GPLv3)"], True),
        (["MIT", "SSPL-1.0"], True),
    ],
)
def test_a_package_needs_a_licence_that_leaves_the_product_free(tmp_path: Path, named: list[str], found: bool) -> None:
    file = tmp_path / "sbom.json"
    file.write_text(json.dumps({"components": [component("package", *named)]}))
    assert bool(licences(Exceptions(), file).findings) is found
    assert licences(Exceptions(licences={"package": "why"}), file).findings == ()
    assert "other is not installed" in licences(Exceptions(licences={"other": "why"}), file).findings[-1]


def clone(folder: Path, name: str, text: str) -> Path:
    GIT.require()
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    (folder / name).write_text(text)
    subprocess.run(["git", "-C", str(folder), "add", "--force", name], check=True)
    return folder


def test_a_key_under_version_control_is_found(tmp_path: Path) -> None:
    assert secrets(clone(tmp_path / "a", "x.py", "pass\n")).findings == ()
    assert secrets(clone(tmp_path / "b", "x.py", "AKIA" + "ABCDEFGHIJKLMNOP")).findings == (
        "x.py holds an AWS access key",
    )
    assert secrets(clone(tmp_path / "c", ".env", "A=1\n")).findings == (".env must not be under version control",)


def test_a_value_of_this_machines_env_file_under_version_control_is_found(tmp_path: Path) -> None:
    folder = clone(tmp_path / "a", "notes.md", "the password is 0f1e2d3c4b5a69788796a5b4\n")
    (folder / ".env").write_text("POSTGRES_PASSWORD=0f1e2d3c4b5a69788796a5b4\n")
    assert secrets(folder).findings == ("notes.md holds the value of POSTGRES_PASSWORD",)


def test_no_file_of_the_project_holds_a_secret() -> None:
    GIT.require()
    if not (ROOT / ".git").exists():
        pytest.skip("this folder is not a clone")
    assert secrets().findings == ()


@pytest.mark.parametrize(("program", "said"), [("git", "not a clone"), ("none", "git is not installed")])
def test_a_folder_that_cannot_be_listed_is_not_a_clean_one(
    program: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if program == "git":
        GIT.require()
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotRun, match=said):
        secrets(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[licence]]\npackage = "a"\n', "needed: "),
        ('[[licence]]\npackage = "a"\nreason = ""\n', "reason = '' is not a text"),
        ('[[vulnerability]]\nid = "A"\npackage = "a"\nreason = "b"\n', "needed: "),
        ('[[vulnerability]]\nid = "A"\npackage = "a"\nreason = "b"\nuntil = "2030-06-02"\n', "is not a date"),
        ('[[vulnerability]]\nid = "A"\npackage = "a"\nreason = "b"\nuntil = 2030-09-01\n', "more than 90 days away"),
        ('[[package]]\nname = "a"\n', "are not kinds"),
    ],
)
def test_an_exception_without_a_reason_or_an_end_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "exceptions.toml"
    file.write_text(text)
    with pytest.raises(BadException, match=said):
        read(TODAY, file)


def test_an_exception_holds_to_its_last_day(tmp_path: Path) -> None:
    file = tmp_path / "exceptions.toml"
    file.write_text('[[vulnerability]]\nid = "A"\npackage = "a"\nreason = "b"\nuntil = 2030-06-01\n')
    assert read(TODAY, file).vulnerabilities == {"A": "b"}
    assert read(TODAY + dt.timedelta(days=1), file).expired == ("A",)


@pytest.mark.parametrize(("arguments", "status"), [([], 0), (["--complete"], 1)])
def test_a_check_that_did_not_run_is_named_and_fails_a_complete_audit(
    arguments: list[str], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: object) -> checks.Checked:
        raise NotRun("no service answers")

    for name in ("workflows", "secrets", "sbom", "licences", "image_vulnerabilities"):
        monkeypatch.setattr(checks, name, lambda *_: checks.Checked("nothing"))
    monkeypatch.setattr(checks, "vulnerabilities", away)
    assert command.main(arguments) == status
    said = capsys.readouterr().out
    assert "audit: vulnerabilities: NOT RUN, no service answers" in said
    assert said.endswith("audit: 6 of 7 checks ran, not vulnerabilities\n")


def test_a_finding_fails_the_audit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("workflows", "secrets", "sbom", "licences", "vulnerabilities", "image_vulnerabilities"):
        monkeypatch.setattr(checks, name, lambda *_: checks.Checked("nothing"))
    monkeypatch.setattr(checks, "pins", lambda *_: checks.Checked("one", ("redis:8 has no digest",)))
    assert command.main([]) == 1
    assert "audit: pins: redis:8 has no digest\naudit: pins: one, 1 findings" in capsys.readouterr().out
