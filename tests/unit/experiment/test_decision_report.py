"""Decision report: one file with its charts and evidence, without scripts."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

from homeprices.adapters.mlflow_client import MlflowClient
from homeprices.experiment.decision_log import RecordedDecision
from homeprices.experiment.decision_report import _to_mlflow, render
from homeprices.experiment.evidence import SampleMoments, SegmentRatings
from homeprices.experiment.policies import document_of
from homeprices.experiment.policies.segments import SegmentRule, segment_effects
from homeprices.experiment.policies.sequential import SequentialPolicy
from tests.unit.experiment.looks import look, paired

RULE = SequentialPolicy()


def recorded(number: int, stars: tuple[float, float], days: float, **more: Any) -> RecordedDecision:
    evidence = look(stars, days=days, paired=paired(80, 0.01), drift="BO1: The area has changed.")
    found = RULE.decide(evidence)
    given = {"id": number, "ts": datetime(2026, 3, 4, tzinfo=UTC) + timedelta(days=days), "key": f"run{number}"}
    names = {"experiment": "BO1-CO1", "production": "BO1", "candidate": "CO1", "policy": found.policy}
    decided = {"outcome": found.outcome, "reason": found.reason, "result_version": None, "actor": "evaluation"}
    values = {"evidence": evidence.model_dump(mode="json"), "policy_document": document_of(RULE)}
    return RecordedDecision(**{**given, **names, **decided, **values, "statistics": found.statistics, **more})


class Elements(HTMLParser):
    """Counts elements, and notes what would fetch or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        addresses = [(name, value or "") for name, value in attrs if name in ("src", "href") or name.startswith("on")]
        self.outside += [f"{tag} {name}" for name, value in addresses if not value.startswith("#")]


def test_a_report_has_reason_charts_and_numbers_and_loads_nothing() -> None:
    looks = [recorded(1, (3.6, 3.7), 1), recorded(2, (3.6, 3.9), 2), recorded(3, (3.5, 4.2), 3)]
    page = render(looks[-1], looks)
    parser = Elements()
    parser.feed(page)
    assert (parser.outside, "script" in parser.found) == ([], False)
    assert parser.found.count("svg") == 6
    assert page.count("FillBetweenPolyCollection") == 1, "the confidence sequence is a band"
    for text in (
        "even the lower bound is above 0",
        "promote above / harm below 0",
        "failed: at most 2 %",
        "replay 3",
        "Drift: BO1: The",
    ):
        assert text in page


class Recording:
    """Keeps what a run of MLflow would get."""

    def __init__(self) -> None:
        self.names: list[str | None] = []
        self.steps: list[tuple[int, set[str]]] = []

    def parent_run(self, key: str, *, tags: dict[str, str]) -> str:
        return key

    def log_files(self, run_id: str, folder: Path, under: str) -> None:
        pass

    def log(self, run_id: str, *, metrics: dict[str, float], step: int) -> None:
        self.steps.append((step, set(metrics)))

    def finish(self, run_id: str, *, name: str | None = None) -> None:
        self.names.append(name)

    def run_url(self, run_id: str) -> str:
        return run_id


def test_each_look_is_a_step_of_the_experiments_run_which_the_outcome_names_at_its_end() -> None:
    run = Recording()
    for decision in (
        recorded(1, (3.6, 3.7), 1),
        recorded(2, (3.5, 4.2), 3),
        recorded(3, (3.5, 4.2), 3, result_version="BO2"),
        recorded(4, (3.5, 4.2), 3, evidence={}, statistics=None, outcome="hold"),
    ):
        _to_mlflow(cast(MlflowClient, run), decision, b"page")
    assert [step for step, _ in run.steps] == [24, 72, 72], "hours since the start; a hold is no look"
    assert {"effect", "effect_low", "effect_high", "candidate.mean_rating"} <= run.steps[0][1]
    assert run.names == ["experiment BO1-CO1 -> promote", "experiment BO1-CO1 -> promote (BO2)"]


def test_text_from_people_is_escaped() -> None:
    page = render(recorded(1, (3.6, 3.6), 1, reason="<script>alert(1)</script>", actor="person:<b>"), [])
    assert "<script>" not in page and "&lt;script&gt;alert(1)" in page and "person:&lt;b&gt;" in page


def test_the_report_shows_each_segment_with_its_interval_and_the_harmed_ones() -> None:
    rule = SequentialPolicy(segments=SegmentRule())
    ratings = ((SampleMoments(n=100, mean=4.0, variance=1.3), SampleMoments(n=40, mean=2.8, variance=1.3)),)
    evidence = look((3.5, 4.2), segments=(SegmentRatings(name="region east", ratings=ratings),))
    values = {"evidence": evidence.model_dump(mode="json"), "policy_document": document_of(rule)}
    page = render(recorded(1, (3.5, 4.2), 3, **values), [])
    section = page.partition("<h2>Segments</h2>")[2].partition("</table>")[0]
    assert section.count("<tr>") == 1 + 14
    [east] = re.findall("<tr><th>region east</th>(.*)</tr>", section)
    [effect] = [effect for effect in segment_effects(evidence, rule.segments or SegmentRule()) if effect.p is not None]
    cells = re.findall("<td[^>]*>([^<]*)</td>", east)
    assert cells == ["100", "40", "-1.2", f"{effect.lower:.4g}", f"{effect.upper:.4g}", "harmed"]
    assert section.count("too few") == 13
    assert "<h2>Segments</h2>" not in render(recorded(1, (3.5, 4.2), 3), []), "an older policy has no segments"


def test_a_manual_action_has_a_report_without_evidence() -> None:
    order = recorded(1, (3.6, 3.6), 1, evidence={}, statistics=None, policy_document=None, policy="person")
    assert "nothing was measured yet" in render(order, [order])
