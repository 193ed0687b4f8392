"""The files that are generated from the declared inputs."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from homeprices.pricing.inputs import INPUTS
from inference import generated


class Controls(HTMLParser):
    """The attributes of the controls that have a name, by name."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str | None]] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in {"input", "select"} and values.get("name"):
            self.found[str(values["name"])] = values


def test_no_generated_file_is_stale(capsys: pytest.CaptureFixture[str]) -> None:
    assert generated.main(["--check"]) == 0, f"run `make inputs`: {capsys.readouterr().out}"


def test_a_stale_file_is_named_and_then_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in generated.generated():
        shutil.copy(path, tmp_path)
    for name in ("OPENAPI", "FORM", "DOCUMENT"):
        monkeypatch.setattr(generated, name, tmp_path / getattr(generated, name).name)
    monkeypatch.setattr(generated, "ROOT", tmp_path)
    before = generated.FORM.read_text(encoding="utf-8")
    generated.FORM.write_text(before.replace("Bathrooms", "Baths"), encoding="utf-8")
    assert generated.main(["--check"]) == 1
    assert capsys.readouterr().out == "index.html is stale\n"
    assert generated.main([]) == 0
    assert generated.FORM.read_text(encoding="utf-8") == before
    generated.page_in("kn").unlink()
    assert generated.main(["--check"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "index.kn.html is stale"


def test_the_form_has_a_control_for_each_input_with_its_limits() -> None:
    controls = Controls(generated.form_fields()).found
    assert set(controls) == {field.name for field in INPUTS}
    for field in INPUTS:
        control = controls[field.name]
        assert ("required" in control) == field.required
        if field.limits:
            assert (float(control["min"] or "nan"), float(control["max"] or "nan")) == field.limits
