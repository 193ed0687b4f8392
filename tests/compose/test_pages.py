"""Dashboards and logs after the visits have data."""

from __future__ import annotations

import json
from contextlib import closing, suppress

import httpx

from tests.compose.compose_stack import MONITORING, ComposeStack
from tests.compose.prometheus_api import Prometheus
from tests.e2e.visitors import HOME, Visitors
from tests.unit.monitoring.named_metrics import used

APPEARS_WITH_AN_EVENT = {"ALERTS"}


def test_every_query_of_every_page_answers_after_traffic(stack: ComposeStack, figures: dict[str, object]) -> None:
    visitors = Visitors(stack.url("ROUTER"), stars=lambda _: 4)
    said: dict[str, float | None] = {"accurate": None, "too_high": None, "actual_price": 70.0}
    make_key = (
        "from datetime import timedelta\nfrom homeprices.keys import key_ring\n"
        "result = key_ring.create(bucket, ['batch'], '100/s', timedelta(days=1), 'test', 'dashboards').text"
    )
    by_key = {"Authorization": f"Bearer {stack.python(make_key)}"}

    def known() -> bool:
        return httpx.post(
            f"{stack.url('ROUTER')}/api/predict_home_price/batch", json=[HOME], headers=by_key, timeout=60
        ).is_success

    stack.wait(known, 60, "the key is known")
    with httpx.Client(base_url=stack.url("ROUTER"), timeout=60) as visitor, visitors.coming():
        # The rate of a counter needs a second request, after the first scrape. Each worker learns of the key by itself.
        stack.wait(known, 60, "a second batch")
        assert visitor.post("/api/predict_home_price/batch", json=[HOME] * 3).is_success
        for kind, value in said.items():
            number = visitor.post("/api/predict_home_price", json=HOME).json()["prediction_id"]
            remark = {"prediction_id": number, "feedback_type": kind, "feedback_value": value}
            assert visitor.post("/api/feedback", json={k: v for k, v in remark.items() if v is not None}).is_success
        compare = "from homeprices.workflows.monitor_drift import open_monitor; open_monitor('looked at').compare()"
        stack.compose("exec", "-T", "airflow-scheduler", "python", "-c", compare)
        ask = f"docker compose -f {MONITORING} exec -T exporter python -m monitoring.grafana.query_runner"

        def silent() -> list[str]:
            lines = stack.run(*ask.split(), "--prometheus", "http://prometheus:9090").stdout.splitlines()
            figures["dashboard_queries"] = lines[-1]
            return lines[:-1]

        with suppress(AssertionError):
            stack.wait(lambda: not silent(), 180, "an answer to every query")
        assert silent() == []


def test_nothing_that_a_rule_or_a_page_names_is_without_a_series(stack: ComposeStack) -> None:
    with closing(Prometheus(stack.url("PROMETHEUS"))) as prometheus:
        stack.wait(lambda: used() - APPEARS_WITH_AN_EVENT <= prometheus.names(), 120, "a series of every metric")


def test_logs_are_json_of_one_schema_and_hold_no_secret(stack: ComposeStack) -> None:
    for container in stack.containers():
        if container["State"] != "running":
            continue
        lines = stack.run("docker", "logs", "--tail", "2000", container["Name"])
        text = lines.stdout + lines.stderr
        held = {name for name, value in stack.secrets.items() if value in text}
        assert held <= {"AWS_ACCESS_KEY_ID"}, container["Name"]  # identifies the caller; part of every request
        if container["Service"] in {"infer-prod", "infer-cand", "router", "exporter"}:
            said = [json.loads(line) for line in text.splitlines()]
            assert said and all({"event", "level", "timestamp", "service"} <= set(line) for line in said)
