"""The service level objectives, and the recording rules and burn-rate alerts generated from them.

`python -m monitoring.slo` writes `monitoring/rules/slo.yml`; `--check` fails when it is stale.

A burn rate of 1 spends the whole error budget in exactly the period. An alert requires a high burn rate over a long
window (so that it matters) and over a short one (so that it resolves soon after the fault): Site Reliability Workbook,
chapter 5, "Multiwindow, Multi-Burn-Rate Alerts".
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitoring.scrape_config import dump

PERIOD_DAYS = 30
RULES = Path(__file__).parent / "rules" / "slo.yml"
RUNBOOK = "documentations/runbook.md"  # Alertmanager prepends RUNBOOK_BASE_URL
SECONDS = {"m": 60, "h": 3600, "d": 86400}


def _seconds(window: str) -> int:
    return int(window[:-1]) * SECONDS[window[-1]]


# With fewer failed requests in the long window no alert fires: on a quiet night two failures of ten requests are a burn
# rate of 200, but a negligible share of the month's budget.
MIN_BAD_REQUESTS = 10


@dataclass(frozen=True)
class Objective:
    """A service level objective. `total` and `bad` are request rates in PromQL, with the placeholder `{window}`."""

    name: str
    alert: str
    percent: float
    promise: str
    total: str
    bad: str
    meaning: str

    @property
    def budget(self) -> float:
        """The share of requests that may fail."""
        return round(1 - self.percent / 100, 10)


@dataclass(frozen=True)
class Burn:
    """A pair of windows and the burn rate that both must exceed for an alert."""

    factor: float
    long: str
    short: str
    severity: str

    @property
    def budget_percent(self) -> float:
        """The percentage of the period's budget that this burn rate spends within the long window."""
        return round(100 * self.factor * _seconds(self.long) / (PERIOD_DAYS * SECONDS["d"]), 2)


OBJECTIVES = (
    Objective(
        name="availability",
        alert="Availability",
        percent=99.9,
        promise="99.9 % of requests through the router are answered without a server error",
        total="sum(rate(router_requests_total[{window}]))",
        # 429 and other 4xx do not count: the visitor causes them, or the rate limit that protects other visitors.
        # Nor do 501 and 505: Nginx gives them to what is not HTTP/1.1, and no service ever does.
        bad='(sum(rate(router_requests_total{{status=~"50[0234]"}}[{window}])) or vector(0))',
        meaning="visitors get server errors",
    ),
    Objective(
        name="latency",
        alert="Latency",
        percent=99.0,
        promise="99 % of estimates are answered within 250 ms, measured at the router",
        total="sum(rate(router_prediction_duration_seconds_count[{window}]))",
        bad=(
            "(sum(rate(router_prediction_duration_seconds_count[{window}]))"
            ' - sum(rate(router_prediction_duration_seconds_bucket{{le="0.25"}}[{window}])))'
        ),
        meaning="visitors wait longer than 250 ms for an estimate",
    ),
)

BURNS = (
    Burn(14.4, "1h", "5m", "page"),
    Burn(6, "6h", "30m", "page"),
    Burn(3, "1d", "2h", "ticket"),
    Burn(1, "3d", "6h", "ticket"),
)
SPEED = {"page": "Fast", "ticket": "Slow"}
WINDOWS = tuple(sorted({w for burn in BURNS for w in (burn.long, burn.short)}, key=_seconds))


def groups() -> list[dict[str, Any]]:
    """Return the rule groups of every objective, as Prometheus reads them."""
    return [group for one in OBJECTIVES for group in (_recordings(one), _meta(one), _alerts(one))]


def render() -> str:
    """Return the text of `rules/slo.yml`."""
    head = "# Made by `make dashboards` from monitoring/slo.py; change it there.\n"
    return head + dump({"groups": groups()})


def _recordings(one: Objective) -> dict[str, Any]:
    rules = []
    for window in WINDOWS:
        labels = {"slo": one.name}
        rules += [
            {"record": f"slo:bad:rate{window}", "expr": one.bad.format(window=window), "labels": labels},
            {"record": f"slo:total:rate{window}", "expr": one.total.format(window=window), "labels": labels},
            # Without requests there is no ratio, instead of NaN, for which every comparison is false.
            {
                "record": f"slo:sli_error:ratio_rate{window}",
                "expr": f'slo:bad:rate{window}{{slo="{one.name}"}} / (slo:total:rate{window}{{slo="{one.name}"}} > 0)',
                "labels": labels,
            },
        ]
    return {"name": f"slo_{one.name}_indicators", "interval": "30s", "rules": rules}


def _meta(one: Objective) -> dict[str, Any]:
    chosen = f'{{slo="{one.name}"}}'
    period = f"{PERIOD_DAYS}d"
    return {
        "name": f"slo_{one.name}_budget",
        # A query over the whole period is heavy, and its answer moves slowly; above 5m the series would go stale.
        "interval": "2m",
        "rules": [
            {"record": "slo:error_budget:ratio", "expr": f"vector({one.budget:g})", "labels": {"slo": one.name}},
            {
                "record": "slo:current_burn_rate:ratio",
                "expr": f"slo:sli_error:ratio_rate1h{chosen} / {one.budget:g}",
                "labels": {"slo": one.name},
            },
            # Weighted by traffic: a bad minute at noon costs more of the budget than one at night.
            {
                "record": "slo:period_error_budget_remaining:ratio",
                "expr": f"1 - sum_over_time(slo:bad:rate5m{chosen}[{period}])"
                f" / (sum_over_time(slo:total:rate5m{chosen}[{period}]) > 0) / {one.budget:g}",
                "labels": {"slo": one.name},
            },
        ],
    }


def _alerts(one: Objective) -> dict[str, Any]:
    return {"name": f"slo_{one.name}_alerts", "rules": [_alert(one, severity) for severity in SPEED]}


def _alert(one: Objective, severity: str) -> dict[str, Any]:
    name = f"{one.alert}BudgetBurns{SPEED[severity]}"
    burns = [burn for burn in BURNS if burn.severity == severity]
    spent = " or ".join(f"{burn.budget_percent:g} % within {burn.long}" for burn in burns)
    why = {
        "page": f"At this rate the month's error budget is gone in days or hours; {one.meaning} now.",
        "ticket": f"The month's error budget will be exceeded; {one.meaning} at a low rate.",
    }
    return {
        "alert": name,
        "expr": "\nor\n".join(_condition(one, burn) for burn in burns),
        "labels": {"severity": severity, "slo": one.name, "part": "service"},
        "annotations": {
            "summary": f"The {one.name} budget burns: {{{{ $value | humanizePercentage }}}} of requests fail the objective",  # noqa: E501
            "description": f"Objective: {one.promise}. Spent of the {PERIOD_DAYS} days' budget: {spent}.",
            "reason": why[severity],
            "runbook_url": f"{RUNBOOK}#{name.lower()}",
        },
    }


def _condition(one: Objective, burn: Burn) -> str:
    chosen, limit = f'{{slo="{one.name}"}}', f"{burn.factor:g} * {one.budget:g}"
    return (
        f"(slo:sli_error:ratio_rate{burn.long}{chosen} > {limit}\n"
        f" and slo:sli_error:ratio_rate{burn.short}{chosen} > {limit}\n"
        f" and slo:bad:rate{burn.long}{chosen} * {_seconds(burn.long)} >= {MIN_BAD_REQUESTS})"
    )


def main(arguments: list[str] | None = None) -> int:
    """Write the rules, or with `--check` return 1 when the file is stale."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.slo", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when the file is stale")
    if not parser.parse_args(arguments).check:
        RULES.write_text(render())
        return 0
    if RULES.read_text() == render():
        return 0
    print(f"{RULES.name} is stale: run `make dashboards` and commit it", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
