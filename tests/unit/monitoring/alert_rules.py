"""The rules and their tests as Prometheus reads them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "monitoring" / "rules"


@cache
def rules() -> list[dict[str, Any]]:
    """Return every rule of every file."""
    return [
        rule
        for file in sorted(FOLDER.glob("*.yml"))
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]


@cache
def alerts() -> dict[str, dict[str, Any]]:
    """Return every alert by its name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


@cache
def cases() -> list[dict[str, Any]]:
    """Return every expectation of `promtool test rules` about an alert."""
    return [
        case
        for file in sorted((FOLDER / "tests").glob("*.yml"))
        for test in yaml.safe_load(file.read_text())["tests"]
        for case in test.get("alert_rule_test", [])
    ]
