"""The complete path of a visitor: browser, frontend, router, two real services, database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import expect
from sqlalchemy import Engine, select

from homeprices.adapters.object_store import MemoryBucket, S3Bucket
from homeprices.experiment import exposures
from homeprices.experiment.exposures import ExperimentWindow
from homeprices.names import PREDICT_PATH as PREDICT
from homeprices.predictions.tables import ID_BLOCK, prediction_logs, user_feedback
from homeprices.release import control_record
from router.agent import Agent
from router.control_cache import BucketControl, ControlRecordCache
from router.nginx import Nginx
from router.router_metrics import RouterMetrics
from router.site_config import RouterSite, worker_user
from tests.integration.inference.conftest import Make, engine, make, variables  # noqa: F401
from tests.integration.inference.instance import Instance, publish
from tests.integration.router.client import HOME, Reply, Visitor
from tests.integration.router.conftest import WHEEL_NGINX, eventually, free_port, running_record
from tests.support.browser import PATIENCE_MILLISECONDS, chromium, frontend
from tests.support.programs import CHROMIUM


@dataclass
class ServingStack:
    """Router and services, as in the stack."""

    listen: str
    agent: Agent
    control: ControlRecordCache
    bucket: MemoryBucket
    production: Instance
    candidate: Instance

    def visitor_of(self, variant: str) -> tuple[Visitor, Reply]:
        """Return a visitor assigned to that variant, and the first response."""
        for _ in range(200):
            visitor = Visitor(self.listen).arrive()
            reply = visitor.predict()
            if reply.variant == variant and not reply.fallback:
                return visitor, reply
            visitor.close()
        raise AssertionError(f"none of 200 visitors is assigned to {variant}")


@pytest.fixture
def serving(make: Make, s3: S3Bucket, tmp_path: Path) -> Iterator[ServingStack]:  # noqa: F811
    """Router, both services, bucket and database."""
    publish(s3, tmp_path / "made", "BO1")
    publish(s3, tmp_path / "made", "CO1", factor=1.1)
    production = make("prod", HOMEPRICES_INSTANCE="infer-prod", MODEL_PREFIX="best_model", WEB_CONCURRENCY="1")
    candidate = make("cand", HOMEPRICES_INSTANCE="infer-cand", MODEL_PREFIX="candidate_model", WEB_CONCURRENCY="1")
    for instance, version in ((production, "BO1"), (candidate, "CO1")):
        instance.start()
        eventually(partial(instance.serves, version), 120)
    nginx = Nginx(WHEEL_NGINX, tmp_path / "router")
    nginx.folder.mkdir()
    site = RouterSite(
        listen=f"127.0.0.1:{free_port()}",
        production=(f"127.0.0.1:{production.port}",),
        candidate=(f"127.0.0.1:{candidate.port}",),
        trusted=("127.0.0.0/8",),
        folder=nginx.folder,
        user=worker_user(),
        keepalive_min_timeout=True,
    )
    bucket = MemoryBucket()
    bucket.put(control_record.KEY, running_record().model_dump_json().encode())
    control = ControlRecordCache(BucketControl(bucket), nginx.folder / "control.json", 3600)
    control.poll()
    agent = Agent(nginx, control, lambda: site, RouterMetrics())
    try:
        agent.step()
        yield ServingStack(site.listen, agent, control, bucket, production, candidate)
    finally:
        agent.close()
        nginx.stop(1)
        for key in [entry.key for entry in s3.list("models/")]:
            s3.delete(key)


def test_a_visit_is_stored_with_its_variant_and_epoch(serving: ServingStack, engine: Engine) -> None:  # noqa: F811
    for variant, version in (("production", "BO1"), ("candidate", "CO1")):
        visitor, reply = serving.visitor_of(variant)
        answer = reply.json()
        assert (answer["variant"], answer["model_version"]) == (variant, version)
        assert reply.headers["X-Model-Version"] == version
        rated = visitor.ask("POST", "/api/feedback", _rating(answer["prediction_id"], 4))
        visitor.close()
        assert rated.status == 200
        eventually(partial(_feedback, engine, answer["prediction_id"]), 120)
        row = _prediction(engine, answer["prediction_id"])
        assert (row.assigned_variant, row.served_variant, row.bundle, row.epoch) == (variant, variant, version, 1)
        assert not row.fallback
        assert row.request_id == reply.headers["X-Request-ID"]
        [remark] = _feedback(engine, answer["prediction_id"])
        assert (remark.feedback_type, float(remark.feedback_value), remark.verified) == ("rating", 4.0, True)


def test_a_client_that_keeps_no_cookie_is_nobody_and_is_counted(serving: ServingStack, engine: Engine) -> None:  # noqa: F811
    began = datetime.now(UTC)
    for number in range(30):
        nobody = Visitor(serving.listen, headers={"X-Forwarded-For": f"203.0.113.{number}"})
        assert nobody.predict().status == 200
        nobody.close()
    visitor = Visitor(serving.listen, headers={"X-Forwarded-For": "203.0.114.1"})
    first, then = visitor.predict(), visitor.predict()
    visitor.close()

    def window() -> ExperimentWindow:
        return ExperimentWindow("BO1", "CO1", (1,), since=began, until=datetime.now(UTC), recent=began)

    eventually(lambda: _prediction(engine, then.json()["prediction_id"]), 30)
    with engine.connect() as connection:
        eventually(lambda: exposures.left_out(connection, window())["no_cookie"] == 31, 30)
        [counted] = exposures.visitors(connection, window())
    assert counted.exposures == 1
    rows = [_prediction(engine, reply.json()["prediction_id"]) for reply in (first, then)]
    assert [row.returning_visitor for row in rows] == [False, True]
    assert rows[0].assigned_variant is None
    assert rows[0].network == rows[1].network
    with engine.connect() as connection:
        networks = connection.execute(select(prediction_logs.c.network).where(prediction_logs.c.ts >= began).distinct())
        assert len(networks.all()) == 2


def test_a_stranger_cannot_tell_the_variant_without_a_record(serving: ServingStack) -> None:
    answers = []
    asked = [
        ("POST", PREDICT, "{}"), ("POST", PREDICT, "{"), ("POST", PREDICT, "[]"),
        ("POST", PREDICT, '{"bhk": 0, "x": 1}'),
        ("GET", PREDICT, None), ("PUT", PREDICT, HOME), ("OPTIONS", PREDICT, None), ("POST", "/api/feedback", "{}"),
        ("POST", "/api/feedback", _rating(10**12, 5)), ("GET", "/api/feedback", None), ("GET", "/api/health", None),
        ("GET", "/api/get_location_names", None), ("GET", "/api/metrics", None), ("GET", "/router/version", None),
    ]  # fmt: skip
    for variant in ("production", "candidate"):
        insider, reply = serving.visitor_of(variant)
        insider.close()
        stranger = Visitor(serving.listen, insider.cookie, {"X-Forwarded-For": "203.0.113.9"})
        unissued = _rating(_others_block(reply.json()["prediction_id"]), 5)
        replies = [stranger.ask(*one) for one in [*asked, ("POST", "/api/feedback", unissued)]]
        answers.append([(one.status, sorted({*one.headers}), _without_id(one.body)) for one in replies[:-1]])
        assert replies[-1].status == 202
        priced = stranger.predict()
        stranger.close()
        told = " ".join([*priced.headers, priced.body.decode(), *(str(one) for one in answers[-1])])
        assert not any(name in told for name in ("BO1", "CO1", "X-Variant", "X-Model-Version", "model_version"))
    assert answers[0] == answers[1]


def test_a_killed_candidate_costs_no_response_and_is_stopped(serving: ServingStack, engine: Engine) -> None:  # noqa: F811
    visitor, _ = serving.visitor_of("candidate")
    serving.candidate.kill_all()
    replies = [visitor.predict() for _ in range(6)]
    assert {(reply.status, reply.variant, reply.fallback) for reply in replies} == {(200, "production", True)}
    rated = visitor.ask("POST", "/api/feedback", _rating(replies[0].json()["prediction_id"], 1))
    assert rated.status == 200
    visitor.close()

    def stopped() -> bool:
        serving.agent.step()
        serving.control.poll()
        return control_record.read(serving.bucket).state == "stopped"

    eventually(stopped)
    eventually(lambda: _prediction(engine, replies[0].json()["prediction_id"]), 120)
    row = _prediction(engine, replies[0].json()["prediction_id"])
    assert (row.assigned_variant, row.served_variant, row.fallback) == ("candidate", "production", True)


def test_without_a_candidate_model_the_router_falls_back(serving: ServingStack, s3: S3Bucket) -> None:
    visitor, _ = serving.visitor_of("candidate")
    for key in [entry.key for entry in s3.list("models/price_check_CO1/")]:
        s3.delete(key)
    eventually(lambda: serving.candidate.serves(None), 120)
    reply = visitor.predict()
    visitor.close()
    assert (reply.status, reply.variant, reply.fallback) == (200, "production", True)


def test_input_of_the_form_is_in_the_database(serving: ServingStack, engine: Engine, tmp_path: Path) -> None:  # noqa: F811
    CHROMIUM.require()
    with frontend(f"http://{serving.listen}", tmp_path) as url, chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MILLISECONDS)
        page.goto(url)
        page.get_by_role("combobox", name="Location").press_sequentially("white")
        page.get_by_role("listbox").get_by_text("Whitefield").click()
        page.locator("#total_sqft").fill("1234")
        page.get_by_role("button", name="Estimate the price").click()
        expect(page.locator("#lakh")).not_to_be_empty()
        shown = float(page.locator("#lakh").inner_text().replace(",", ""))
        higher = round(1.2 * shown, 1)  # as "too low" says
        page.get_by_role("radio", name="4 stars").check(force=True)
        page.get_by_role("radio", name="Too low").check(force=True)
        page.get_by_label("Actual price").fill(f"{higher}")
        page.get_by_label("Comment").fill("ಚೆನ್ನಾಗಿದೆ")
        page.get_by_role("button", name="Send feedback").click()
        expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    eventually(lambda: len(_of_area(engine, 1234)) == 3, 120)
    remarks = {row.feedback_type: row for row in _of_area(engine, 1234)}
    assert {name: row.feedback_value and float(row.feedback_value) for name, row in remarks.items()} == {
        "rating": 4.0,
        "too_low": None,
        "actual_price": higher,
    }
    assert remarks["rating"].feedback_text == "ಚೆನ್ನಾಗಿದೆ"
    assert all(row.verified for row in remarks.values())
    assert float(remarks["rating"].estimate) == pytest.approx(shown, abs=0.051)


def _others_block(number: int) -> int:
    """Return an id of the same block that is not issued soon."""
    return number - (number - 1) % ID_BLOCK + ID_BLOCK - 1


def _without_id(body: bytes) -> str:
    return re.sub(r'"(request_id|time)": ?"[^"]*"', "", body.decode())


def _rating(prediction_id: int, stars: int) -> str:
    return f'{{"prediction_id": {prediction_id}, "feedback_type": "rating", "feedback_value": {stars}}}'


def _prediction(engine: Engine, number: int):  # type: ignore[no-untyped-def]  # noqa: F811
    with engine.connect() as connection:
        return connection.execute(select(prediction_logs).where(prediction_logs.c.id == number)).one_or_none()


def _feedback(engine: Engine, number: int):  # type: ignore[no-untyped-def]  # noqa: F811
    with engine.connect() as connection:
        return connection.execute(select(user_feedback).where(user_feedback.c.prediction_id == number)).all()


def _of_area(engine: Engine, area: int):  # type: ignore[no-untyped-def]  # noqa: F811
    joined = select(user_feedback, prediction_logs.c.estimate).join(
        prediction_logs, prediction_logs.c.id == user_feedback.c.prediction_id
    )
    with engine.connect() as connection:
        rows = connection.execute(joined.where(prediction_logs.c.inputs["total_sqft"].as_float() == area))
        return rows.all()
