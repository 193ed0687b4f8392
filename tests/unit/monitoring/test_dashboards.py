"""The dashboards are generated, committed, read-only, and have stable addresses."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from monitoring.grafana import build
from monitoring.grafana.dashboards import DASHBOARDS
from monitoring.grafana.panels import GRID
from tests.unit.monitoring.alert_rules import ROOT

FOLDER = ROOT / "monitoring" / "grafana"
UIDS = {"service", "experiment", "model", "pipeline", "business"}


def committed() -> dict[str, dict[str, Any]]:
    return {file.stem: json.loads(file.read_text()) for file in (FOLDER / "dashboards").glob("*.json")}


def provisioned(kind: str) -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / "provisioning" / kind / "homeprices.yml").read_text()))


def test_the_committed_dashboards_are_not_stale(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--check"]) == 0, capsys.readouterr().err


def test_the_five_pages_keep_their_addresses() -> None:
    assert {name: page["uid"] for name, page in committed().items()} == {name: f"homeprices-{name}" for name in UIDS}


def test_the_dashboards_are_read_only() -> None:
    assert not any(page["editable"] for page in committed().values())
    for provider in provisioned("dashboards")["providers"]:
        assert provider["allowUiUpdates"] is False and provider["disableDeletion"] is True
    assert not any(source["editable"] for source in provisioned("datasources")["datasources"])


def test_every_query_uses_a_provisioned_data_source() -> None:
    known = {(source["type"], source["uid"]) for source in provisioned("datasources")["datasources"]}
    asked = {
        (target["datasource"]["type"], target["datasource"]["uid"])
        for page in committed().values()
        for panel in page["panels"]
        for target in panel.get("targets", [])
    }
    assert asked and asked <= known


def test_every_panel_has_a_description_and_fits_the_grid() -> None:
    for page in DASHBOARDS:
        titles = [panel.title for panel in page.panels]
        assert len(set(titles)) == len(titles), f"{page.title} has a title twice"
        for panel in page.panels:
            assert panel.description and panel.queries and 0 < panel.width <= GRID, f"{page.title}: {panel.title}"
