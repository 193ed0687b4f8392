"""The page of a decision: one HTML file that says what was decided, why, and on which numbers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeprices.adapters.database import transaction
from homeprices.adapters.mlflow_client import MlflowClient
from homeprices.errors import HomePricesError
from homeprices.experiment import decision_log
from homeprices.experiment.decision_log import RecordedDecision
from homeprices.log import get_logger
from homeprices.names import VARIANTS
from homeprices.reporting.charts import Chart, Line

if TYPE_CHECKING:
    from homeprices.resources import Resources


_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:720px;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.4rem}.outcome{font-weight:600}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #ddd;vertical-align:top}
figure{margin:1.5rem 0}figcaption{font-weight:600}svg{width:100%;height:auto;font-size:11px}
.grid{stroke:#e4e4e4}.limit{stroke:#b00;stroke-dasharray:5 4}.tick{fill:#666}
pre{overflow:auto;background:#f6f6f6;padding:1rem}
"""


def render(decision: RecordedDecision, history: Sequence[RecordedDecision]) -> str:
    """The page. `history` is every look of the experiment up to this one, oldest first; each becomes a point."""
    title = f"{decision.experiment}: {decision.outcome}"
    charts = "".join(chart.svg() for chart in _charts(decision, history))
    facts = {
        "decision": str(decision.id),
        "outcome": decision.outcome,
        "production": decision.production,
        "candidate": decision.candidate,
        "became": decision.result_version or "–",
        "decided at": f"{decision.ts:%Y-%m-%d %H:%M:%S} UTC",
        "by": decision.actor,
        "policy": decision.policy,
        "software": json.dumps(decision.software or {}),
    }
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>"
        f'<body><h1>{escape(title)}</h1><p class="outcome">{escape(decision.reason)}</p>'
        f"{_table(facts.items())}{charts}{_arms(decision.evidence)}"
        f"{_details('Statistics', decision.statistics)}{_details('Evidence', decision.evidence)}"
        f"{_details('Policy', decision.policy_document)}"
        f"<p>Compute it again: <code>python -m homeprices.experiment replay {decision.id}</code></p></body></html>\n"
    )


def _charts(decision: RecordedDecision, history: Sequence[RecordedDecision]) -> list[Chart]:
    looks = [(hours, row) for row in history if (hours := _hours(row)) is not None]
    policy = decision.policy_document or {}
    margins, guardrails = policy.get("margins") or {}, policy.get("guardrails") or {}
    bounds = [(h, r.statistics) for h, r in looks if r.statistics and "two_sided_lower" in r.statistics]
    difference = Line(
        "candidate less production, with its confidence sequence",
        [(hours, statistics["estimate"]) for hours, statistics in bounds],
        [(statistics["two_sided_lower"], statistics["two_sided_upper"]) for _, statistics in bounds],
    )
    limits = [("promote above", float(margins.get("promote", 0.0))), ("harm below", float(margins.get("harm", 0.0)))]
    return [
        Chart("Difference of the composites", "composite", [difference], limits if margins else []),
        Chart("Mean rating", "stars", _by_arm(looks, "mean_rating")),
        Chart("Exposures", "requests", _by_arm(looks, "requests")),
        Chart("Mean latency", "ms", _by_arm(looks, "mean_latency_ms")),
        Chart(
            "Guardrails of the candidate",
            "% of its requests",
            [_share(looks, "errors", "failed"), _share(looks, "slow", "slow")],
            [
                (name, 100 * float(guardrails[key]))
                for name, key in (("errors allowed", "error_share"), ("slow allowed", "slow_share"))
                if key in guardrails
            ],
        ),
        Chart("Distance from actual prices", "share of the price", _errors(looks)),
    ]


def _hours(row: RecordedDecision) -> float | None:
    """Hours since the experiment began; None for an order, which has no evidence."""
    if "started_at" not in row.evidence:
        return None
    begun, now = (datetime.fromisoformat(row.evidence[name]) for name in ("started_at", "now"))
    return (now - begun).total_seconds() / 3600


def _by_arm(looks: Iterable[tuple[float, RecordedDecision]], field: str) -> list[Line]:
    seen = list(looks)
    lines = []
    for arm in VARIANTS:
        found = [(hours, row.evidence[arm].get(field)) for hours, row in seen]
        lines.append(Line(arm, [(hours, float(value)) for hours, value in found if value is not None]))
    return lines


def _share(looks: Iterable[tuple[float, RecordedDecision]], field: str, name: str) -> Line:
    found = [(hours, row.evidence.get(field) or {}) for hours, row in looks]
    return Line(name, [(hours, 100 * each["hits"] / each["trials"]) for hours, each in found if each.get("trials")])


def _errors(looks: Iterable[tuple[float, RecordedDecision]]) -> list[Line]:
    seen = [(hours, row.evidence.get("paired") or {}) for hours, row in looks]
    return [
        Line(arm, [(h, float(each[f"{arm}_error"])) for h, each in seen if each.get(f"{arm}_error") is not None])
        for arm in VARIANTS
    ]


def _arms(evidence: dict[str, Any]) -> str:
    if not isinstance(evidence.get("candidate"), dict):
        return ""
    names = [name for name, value in evidence["candidate"].items() if not isinstance(value, dict)]
    rows = "".join(
        f"<tr><td>{escape(name.replace('_', ' '))}</td>"
        f"<td>{_plain(evidence['production'].get(name))}</td><td>{_plain(evidence['candidate'].get(name))}</td></tr>"
        for name in names
    )
    left_out = ", ".join(
        f"{count} {name.replace('_', ' ')}" for name, count in (evidence.get("left_out") or {}).items()
    )
    return (
        f"<h2>Both arms</h2><table><tr><th></th><th>production</th><th>candidate</th></tr>{rows}</table>"
        f"<p>Left out: {escape(left_out) or 'nothing'}.</p>"
        f"<p>Drift: {escape(evidence.get('drift') or 'none that is known.')}</p>"
    )


def _plain(value: object) -> str:
    return "–" if value is None else escape(f"{value:.6g}" if isinstance(value, float) else str(value))


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return (
        f"<table>{''.join(f'<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)}</table>"
    )


def _details(name: str, value: object) -> str:
    body = escape(json.dumps(value, indent=2, sort_keys=True, default=str))
    return f"<details><summary>{escape(name)}</summary><pre>{body}</pre></details>"


# Where the page of a decision is put: in the bucket, and in MLflow, where people can open it.


GOES_ON = ("continue", "invalid", "hold", "resume")
MOST_LOOKS = 24 * 31  # points of a page's charts

log = get_logger(__name__)


def key_of(number: int) -> str:
    """Where the page of a decision lies in the bucket."""
    return f"reports/decisions/{number}.html"


def publish(resources: Resources, key: str) -> str | None:
    """Put the page of the decision under `key` where it belongs, and return its address in MLflow.

    A page is written from the record, so it can be written again. One that cannot be written changes no outcome: what
    failed is logged, and None is returned.
    """
    try:
        with transaction(resources.engine) as connection:
            decision = decision_log.find(connection, key)
            if decision is None:
                return None
            looks = decision_log.history(connection, decision.experiment, decision.id, MOST_LOOKS)
        body = render(decision, looks).encode()
        resources.bucket.put(key_of(decision.id), body)
        return _to_mlflow(MlflowClient(resources.settings), decision, body)
    except HomePricesError as error:
        log.warning("the page of a decision is not everywhere", key=key, error=str(error))
        return None


def _to_mlflow(tracking: MlflowClient, decision: decision_log.RecordedDecision, body: bytes) -> str:
    run = tracking.parent_run(f"experiment {decision.experiment}", tags={"experiment": decision.experiment})
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / f"{decision.id}.html").write_bytes(body)
        tracking.log_files(run, Path(temporary), under="decisions")
    if decision.outcome not in GOES_ON:
        tracking.finish(run)
    return tracking.run_url(run)
