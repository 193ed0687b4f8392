"""Decision report: one HTML file with the outcome, its reason, and the numbers behind it.

The report goes to the bucket, and to MLflow, where people open it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from homeprices.adapters.database import transaction
from homeprices.adapters.mlflow_client import MlflowClient
from homeprices.errors import HomePricesError
from homeprices.experiment import decision_log
from homeprices.experiment.decision_log import RecordedDecision
from homeprices.experiment.evidence import Evidence, RampProgress
from homeprices.experiment.policies.ramp import RampStep, progress_sentence
from homeprices.experiment.policies.segments import SegmentRule, segment_effects
from homeprices.experiment.policies.year import promotion_error
from homeprices.experiment.sample_ratio import recorded_split
from homeprices.log import get_logger
from homeprices.names import VARIANTS
from homeprices.reporting import html
from homeprices.reporting.charts import Line, TimeChart

if TYPE_CHECKING:
    from homeprices.resources import Resources


ENDLESS = ("continue", "invalid", "hold", "resume", "skip", "repeat")
"""Outcomes after which the experiment continues."""
BOUNDS_OF_SEGMENTS = (
    "Candidate minus production. The bounds hold for all segments and looks together. Once it has found one segment "
    "harmed, Holm's procedure allows the others more, so it can find one harmed whose upper bound is above the margin."
)
MAX_LOOKS = 24 * 31
"""Points of a chart, at most."""

log = get_logger(__name__)


def render(decision: RecordedDecision, history: Sequence[RecordedDecision]) -> str:
    """Return the report. `history` is every interim look up to this one, oldest first; each becomes a point."""
    facts = {
        "decision": str(decision.id),
        "outcome": decision.outcome,
        "production": decision.production,
        "candidate": decision.candidate,
        "became": decision.result_version,
        "decided at": f"{decision.ts:%Y-%m-%d %H:%M:%S} UTC",
        "by": decision.actor,
        "policy": decision.policy,
        "phase": _phase(decision),
        **_tests(decision),
        "software": json.dumps(decision.software or {}),
    }
    return html.page(
        f"{decision.experiment}: {decision.outcome}",
        Markup('<p class="outcome">{}</p>').format(decision.reason),
        html.table(facts.items()),
        *(Markup(chart.html()) for chart in charts_of(decision, history)),  # noqa: S704  escaped where it is drawn
        _variants(decision.evidence),
        _segments(decision),
        html.details("Statistics", decision.statistics),
        html.details("Evidence", decision.evidence),
        html.details("Policy", decision.policy_document),
        Markup("<p>Compute it again: <code>python -m homeprices.experiment replay {}</code></p>").format(decision.id),
    )


def _phase(decision: RecordedDecision) -> str | None:
    """Return the phase of the model at this look; None of a manual action."""
    evidence, steps = decision.evidence, (decision.policy_document or {}).get("ramp")
    if (progress := evidence.get("ramp")) and steps:
        found, now = RampProgress.model_validate(progress), datetime.fromisoformat(evidence["now"])
        return f"ramp, {progress_sentence(tuple(RampStep.model_validate(step) for step in steps), found, now)}"
    return None if not evidence else "bake" if "promoted_at" in evidence else "trial"


def _tests(decision: RecordedDecision) -> dict[str, str | None]:
    """Return the SRM test, and the error rate of a promotion, as sentences; nothing of a record without a look."""
    split = recorded_split(decision.evidence, decision.policy_document)
    if split is None:
        return {}
    level = decision.evidence.get("level")
    return {"split": str(split), "level": promotion_error(decision.policy_document or {}, level)}


def charts_of(decision: RecordedDecision, history: Sequence[RecordedDecision]) -> list[TimeChart]:
    """Return the report's charts, with one point for each look."""
    looks = [(hours, row) for row in history if (hours := _hours(row)) is not None]
    policy = decision.policy_document or {}
    margins, guardrails = policy.get("margins") or {}, policy.get("guardrails") or {}
    bounds = [(h, r.statistics) for h, r in looks if r.statistics and "two_sided_lower" in r.statistics]
    effect = Line(
        "candidate minus production, with its confidence sequence",
        [(hours, statistics["estimate"]) for hours, statistics in bounds],
        [(statistics["two_sided_lower"], statistics["two_sided_upper"]) for _, statistics in bounds],
    )
    limits = [("promote above", float(margins.get("promote", 0.0))), ("harm below", float(margins.get("harm", 0.0)))]
    return [
        TimeChart("Effect on the primary metric", "", [effect], limits if margins else [], settled=True),
        TimeChart("Mean rating", "stars", _by_variant(looks, "mean_rating"), settled=True),
        TimeChart("Exposures", "requests", _by_variant(looks, "requests")),
        TimeChart("Mean latency", "ms", _by_variant(looks, "mean_latency_ms"), settled=True),
        TimeChart(
            "Guardrails: share of the candidate's requests",
            "%",
            [_share(looks, "errors", "failed"), _share(looks, "slow", "slow")],
            [
                (name, 100 * float(guardrails[key]))
                for name, key in (("failed: at most", "error_share"), ("slow: at most", "slow_share"))
                if key in guardrails
            ],
        ),
        TimeChart("Mean price error", "%", _price_errors(looks), settled=True),
    ]


def _hours(row: RecordedDecision) -> float | None:
    """Hours since the experiment began; None for a manual action, which has no evidence."""
    if "started_at" not in row.evidence:
        return None
    begun, now = (datetime.fromisoformat(row.evidence[name]) for name in ("started_at", "now"))
    return (now - begun).total_seconds() / 3600


def _by_variant(looks: Sequence[tuple[float, RecordedDecision]], field: str) -> list[Line]:
    lines = []
    for variant in VARIANTS:
        values = [(hours, row.evidence[variant].get(field)) for hours, row in looks]
        lines.append(Line(variant, [(hours, float(value)) for hours, value in values if value is not None]))
    return lines


def _share(looks: Iterable[tuple[float, RecordedDecision]], field: str, name: str) -> Line:
    counts = [(hours, row.evidence.get(field) or {}) for hours, row in looks]
    return Line(name, [(hours, 100 * each["hits"] / each["trials"]) for hours, each in counts if each.get("trials")])


def _price_errors(looks: Iterable[tuple[float, RecordedDecision]]) -> list[Line]:
    paired = [(hours, row.evidence.get("paired") or {}) for hours, row in looks]
    return [
        Line(name, [(h, 100 * each[f"{name}_error"]) for h, each in paired if each.get(f"{name}_error") is not None])
        for name in VARIANTS
    ]


def _variants(evidence: dict[str, Any]) -> Markup:
    if not isinstance(evidence.get("candidate"), dict):
        return Markup("")
    names = [name for name, value in evidence["candidate"].items() if not isinstance(value, dict)]
    rows = [(name.replace("_", " "), *(evidence[variant].get(name) for variant in VARIANTS)) for name in names]
    excluded = [f"{count} {name.replace('_', ' ')}" for name, count in (evidence.get("left_out") or {}).items()]
    return Markup("<h2>Variants</h2>{}<p>Excluded: {}.</p><p>Drift: {}</p>").format(
        html.table(rows, ("", *VARIANTS)), ", ".join(excluded) or "nothing", evidence.get("drift") or "none known."
    )


def _segments(decision: RecordedDecision) -> Markup:
    document, evidence = (decision.policy_document or {}).get("segments"), decision.evidence
    if not (document and evidence.get("segments")):
        return Markup("")
    effects = segment_effects(Evidence.model_validate(evidence), SegmentRule.model_validate(document))
    rows = [
        (effect.name, *effect.rated, effect.stars, effect.lower, effect.upper, effect.verdict) for effect in effects
    ]
    head = ("", "rated production", "rated candidate", "difference in stars", "at least", "at most", "")
    return Markup("<h2>Segments</h2>{}<p>{}</p>").format(html.table(rows, head), BOUNDS_OF_SEGMENTS)


def key_of(number: int) -> str:
    """Return the bucket key of a decision's report."""
    return f"reports/decisions/{number}.html"


def publish(resources: Resources, key: str) -> str | None:
    """Write the report of the decision recorded under `key` to the bucket and MLflow, and return its address in MLflow.

    Return None if that fails. The failure is logged and changes no outcome: the report can be rendered again from the
    decision log.
    """
    try:
        with transaction(resources.engine) as connection:
            decision = decision_log.find(connection, key)
            if decision is None:
                return None
            looks = decision_log.history(connection, decision.experiment, decision.id, MAX_LOOKS)
        body = render(decision, looks).encode()
        resources.bucket.put(key_of(decision.id), body)
        return _to_mlflow(MlflowClient(resources.settings), decision, body)
    except HomePricesError as error:
        log.warning("decision_report_upload_failed", key=key, error=str(error))
        return None


def _to_mlflow(tracking: MlflowClient, decision: RecordedDecision, body: bytes) -> str:
    run = tracking.parent_run(f"experiment {decision.experiment}", tags={"experiment": decision.experiment})
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / f"{decision.id}.html").write_bytes(body)
        tracking.log_files(run, Path(temporary), under="decisions")
    if (hours := _hours(decision)) is not None:
        tracking.log(run, metrics=_figures(decision), step=round(hours))
    if decision.outcome not in ENDLESS:
        tracking.finish(run, name=f"experiment {decision.experiment} -> {_result(decision)}")
    return tracking.run_url(run)


def _figures(decision: RecordedDecision) -> dict[str, float]:
    """The figures of a look: with one step for each look, MLflow draws a chart of each over the hours."""
    statistics, evidence = decision.statistics or {}, decision.evidence
    effect = {"effect": "estimate", "effect_low": "two_sided_lower", "effect_high": "two_sided_upper"}
    figures = {name: statistics.get(key) for name, key in effect.items()}
    for variant in VARIANTS:
        figures |= {f"{variant}.{name}": evidence[variant].get(name) for name in ("requests", "ratings", "mean_rating")}
    return {name: float(value) for name, value in figures.items() if value is not None and isfinite(value)}


def _result(decision: RecordedDecision) -> str:
    return f"{decision.outcome} ({decision.result_version})" if decision.result_version else decision.outcome
