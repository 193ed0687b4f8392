"""Three replicas under load while containers are killed: no failed request."""

from __future__ import annotations

import time

import httpx

from tests.compose.compose_stack import PROJECT, REPLICAS, SUBNET_PREFIX, ComposeStack, seconds_since
from tests.e2e.visitors import HOME, Visitors
from tests.support.fake_servers import Hook, Mailbox, mail_server, webhook

GATEWAY = f"{SUBNET_PREFIX}.129"
"""This machine, as the containers reach it."""

DOWN = "[page] DatabaseDown"
FOLLOW = {"SpoolGrows", "EvaluationOverdue", "DriftCheckOverdue", "TrainingOverdue", "TrackingDown", "AirflowUnhealthy",
          "SampleRatioMismatch"}  # fmt: skip
"""What Alertmanager does not tell while it is down."""


def titles(hook: Hook) -> list[str]:
    return [post["attachments"][0]["title"] for post in hook.posts]


def subjects(box: Mailbox) -> list[str]:
    return [str(letter["Subject"]) for letter in box.messages]


def test_three_replicas_serve_behind_the_router(stack: ComposeStack) -> None:
    stack.files.append(REPLICAS)
    stack.up("--no-deps", "infer-prod")
    stack.wait_until_healthy()
    stack.wait(
        lambda: list(stack.replicas().values()) == ["BO1"] * 3, 120, f"BO1 on three replicas; {stack.replicas()}"
    )
    look = (
        "text = open('/var/lib/homeprices/router/nginx.conf').read()\n"
        "print(text.split('upstream production {')[1].split('}')[0].count(':6001 '))"
    )
    stack.wait(
        lambda: stack.compose("exec", "-T", "router", "python", "-c", look).stdout.strip() == "3",
        60,
        "three in the router",
    )
    instances = stack.python(
        "import httpx, socket\n"
        "found = {a[4][0] for a in socket.getaddrinfo('infer-prod', 6001, type=socket.SOCK_STREAM)}\n"
        "result = sorted(httpx.get(f'http://{a}:6001/api/health').json()['instance'] for a in found)"
    )
    assert instances == [f"{PROJECT}-infer-prod-{number}" for number in (1, 2, 3)]


def test_a_killed_replica_costs_no_visitor_his_answer_and_comes_back(stack: ComposeStack) -> None:
    victim = f"{PROJECT}-infer-prod-2"
    visitors = Visitors(stack.url("ROUTER"), stars=lambda _: 4)
    with visitors.coming() as tally:
        stack.wait(lambda: sum(tally.answers.values()) > 50, 60, "visitors")
        stack.kill(victim)
        stack.wait(lambda: stack.inspect(victim)["RestartCount"] >= 1, 60, "the engine to start it again")
        stack.wait(lambda: stack.replicas().get(victim) == "BO1", 60, "BO1 on the replica that came back")
    # What is said of an estimate that the dead replica still holds can wait for it; the estimate cannot.
    assert [failure for failure in tally.failures if "/api/feedback" not in failure] == []


def test_answers_go_on_and_nothing_is_lost_while_postgresql_is_killed_and_restarted(stack: ComposeStack) -> None:
    time_to_drain = 60
    visitors = Visitors(stack.url("ROUTER"), stars=lambda _: 4)
    with visitors.coming() as tally:
        stack.kill(f"{PROJECT}-postgres-1")
        stack.wait(lambda: sum(tally.answers.values()) > 100, 60, "answers without a database")
        stack.wait(
            lambda: stack.inspect(f"{PROJECT}-postgres-1")["State"]["Health"]["Status"] == "healthy", 60, "PostgreSQL"
        )
    predictions = [failure for failure in tally.failures if "/api/feedback" not in failure]
    assert predictions == []
    ids = tally.predicted
    stack.wait(lambda: stack.logged(ids) == len(ids), time_to_drain, f"{len(ids)} predictions in PostgreSQL")


def test_a_database_that_stays_away_costs_no_visitor_his_answer_and_wakes_somebody_once(
    stack: ComposeStack, figures: dict[str, object]
) -> None:
    postgres = f"{PROJECT}-postgres-1"
    visitors = Visitors(stack.url("ROUTER"), stars=lambda _: 4, pause_seconds=0.5)
    with webhook(host=GATEWAY) as slack, mail_server(host=GATEWAY) as mail:
        stack.watch(
            SLACK_WEBHOOK_URL=slack.url, SMTP_HOST=GATEWAY, SMTP_PORT=str(mail.port), SMTP_REQUIRE_TLS="false",
            NOTIFY_EMAIL_TO="on-call@example.org", RUNBOOK_BASE_URL="https://example.org/homeprices/",
        )  # fmt: skip
        stopped = time.monotonic()
        stack.run("docker", "stop", postgres)
        with visitors.coming() as tally:
            stack.wait(lambda: DOWN in titles(slack) and DOWN in subjects(mail), 300, "the message, on both ways")
            figures["database_down_to_message_seconds"] = seconds_since(stopped)
            stack.run("docker", "start", postgres)
            healthy = lambda: stack.inspect(postgres)["State"]["Health"]["Status"] == "healthy"  # noqa: E731
            stack.wait(healthy, 60, "PostgreSQL")
        figures["alert_that_arrived"] = slack.posts[titles(slack).index(DOWN)]["attachments"][0]
    for told in (titles(slack), subjects(mail)):
        assert told.count(DOWN) == 1
        assert not [title for title in told if title.split()[1] in FOLLOW], "what follows from it is not told"
    assert [failure for failure in tally.failures if "/api/feedback" not in failure] == []
    ids = tally.predicted
    stack.wait(lambda: stack.logged(ids) == len(ids), 120, f"{len(ids)} predictions in PostgreSQL")


def test_the_router_and_the_bucket_come_back_after_a_kill(stack: ComposeStack) -> None:
    for name in ("router", "seaweedfs", "airflow-scheduler"):
        stack.kill(f"{PROJECT}-{name}-1")
    stack.wait_until_healthy()
    with httpx.Client(base_url=stack.url("FRONTEND"), timeout=60) as visitor:
        stack.wait(
            lambda: visitor.post("/api/predict_home_price", json=HOME).is_success, 30, "an answer through the form"
        )
