"""`.env.example` names every setting, and its values are the defaults."""

import re
from pathlib import Path

from homeprices.settings import load_settings, variable_names

EXAMPLE = (Path(__file__).parents[2] / ".env.example").read_text()
NAMED = dict(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=(.*)$", EXAMPLE, re.MULTILINE))


def test_every_setting_is_in_the_example() -> None:
    assert sorted(variable_names() - NAMED.keys()) == []


def test_the_values_of_the_example_are_allowed() -> None:
    given = {name: value for name, value in NAMED.items() if value and name in variable_names()}
    assert load_settings(given, ()).candidate_share == 20
