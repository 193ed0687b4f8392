"""How each command ends: 0 done, 1 refused with a line on standard error, 2 wrong usage, 3 as documented."""

import json
import os
from pathlib import Path

import pytest

from tests.contract.names import run

NOWHERE = {
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "POSTGRES_PORT": "1",
    "HOMEPRICES_AIRFLOW_URL": "http://127.0.0.1:1",
}
ENDS = [
    ("homeprices.data", 2),
    ("homeprices.data nothing", 2),
    ("homeprices.data import", 2),
    ("homeprices.data import missing.csv", 1),
    ("homeprices.data synthesize --rows 0 --out listings.csv", 2),
    ("homeprices.data synthesize --rows 20 --seed 7 --out listings.csv", 0),
    ("homeprices.training", 2),
    ("homeprices.training evaluate --train a.csv --test b.csv --inputs other", 2),
    ("homeprices.training evaluate --train a.csv --test b.csv --inputs form", 1),
    ("homeprices.training compare", 2),
    ("homeprices.drift", 2),
    ("homeprices.drift check --reference before.jsonl", 2),
    ("homeprices.drift check --reference before.jsonl --current missing.csv", 1),
    ("homeprices.drift check --reference before.jsonl --current after.jsonl --alpha 2", 2),
    ("homeprices.drift check --reference before.jsonl --current after.jsonl", 0),
    ("homeprices.drift check --reference before.jsonl --current before.jsonl --fail-on-drift", 0),
    ("homeprices.drift check --reference before.jsonl --current after.jsonl --fail-on-drift", 3),
    ("homeprices.experiment", 2),
    ("homeprices.experiment replay one", 2),
    ("homeprices.experiment replay 1", 1),
    ("homeprices.experiment status", 1),
    ("homeprices.experiment simulate --share 9", 1),
    ("homeprices.experiment simulate --policy missing.yaml", 1),
    ("homeprices.experiment simulate --runs 2 --days 1", 0),
    ("homeprices.release", 2),
    ("homeprices.release share", 2),
    ("homeprices.release share many", 2),
    ("homeprices.release promote", 2),
    ("homeprices.release revert --reason worse", 2),
    ("homeprices.release status", 1),
    ("homeprices.release stop", 1),
    ("homeprices.release promote --reason better", 1),
    ("homeprices.orchestration", 2),
    ("homeprices.orchestration trigger", 2),
    ("homeprices.orchestration trigger evaluate_ab_dag", 1),
    ("homeprices.database", 2),
    ("homeprices.database downgrade", 2),
    ("homeprices.database current", 1),
    ("homeprices.database upgrade", 1),
    ("local", 2),
    ("local nothing", 2),
    ("local restart router", 3),
    ("local status", 3),
]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with two samples that differ, and settings of servers that do not answer."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HOMEPRICES_")]:
        monkeypatch.delenv(name)
    for name, value in {**NOWHERE, "STACK_DIR": str(tmp_path / "stack")}.items():
        monkeypatch.setenv(name, value)
    for name, factor in (("before", 1), ("after", 3)):
        homes = ({"total_sqft": factor * (800 + n), "location": "Whitefield", "bhk": 2, "bath": 2} for n in range(200))
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, homes)))


@pytest.mark.parametrize(("words", "code"), ENDS)
def test_a_command_ends_as_recorded(words: str, code: int) -> None:
    found, out, err = run(*words.split())
    assert found == code, out + err
    if code == 1:
        assert err.strip()


def test_what_is_asked_for_as_json_is_json() -> None:
    _, out, _ = run("homeprices.experiment", "simulate", "--runs", "2", "--days", "1", "--json")
    assert {"policy", "policy_digest", "runs", "rates", "days_to_decide"} <= json.loads(out).keys()
    _, out, _ = run("homeprices.drift", "check", "--reference", "before.jsonl", "--current", "after.jsonl", "--json")
    assert json.loads(out)["overall_drift_detected"] is True
    words = ("evaluate", "--train", "a.csv", "--test", "b.csv", "--inputs", "form", "--json")
    code, out, _ = run("homeprices.training", *words)
    assert (code, json.loads(out).keys()) == (1, {"error", "fields"})
