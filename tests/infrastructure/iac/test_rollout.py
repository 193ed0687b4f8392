"""A rollout that checks through the router and rolls back by itself; AWS responses come from botocore's Stubber."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import boto3
import httpx
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from iac import rollout
from iac.rollout import ANSWERS_IN_A_ROW, Host, RolloutFailed, check, roll_out


class Time:
    """A clock that moves with each sleep."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def router(answer: Callable[[int, str], httpx.Response]) -> tuple[httpx.Client, list[str]]:
    """Return a client of a router with the given response for the n-th request to a path."""
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return answer(len(asked), request.url.path)

    return httpx.Client(transport=httpx.MockTransport(handle), base_url="https://homes"), asked


def well(_number: int, path: str) -> httpx.Response:
    return httpx.Response(200, json={"model_version": "BO3"} if path == "/api/health" else {"estimated_price": 61.4})


def test_a_release_serves_when_health_and_estimates_are_right_many_times_in_a_row() -> None:
    client, asked = router(well)
    assert check(client) == "BO3"
    assert len(asked) == 2 * ANSWERS_IN_A_ROW


def test_one_wrong_answer_begins_the_row_anew() -> None:
    time = Time()
    client, asked = router(lambda n, path: httpx.Response(502) if n == 20 else well(n, path))
    assert check(client, clock=time, sleep=time.sleep) == "BO3"
    assert len(asked) == 20 + 2 * ANSWERS_IN_A_ROW


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (lambda n, path: httpx.Response(503), "/api/health answers 503"),
        (
            lambda n, path: well(n, path) if path == "/api/health" else httpx.Response(500, text="broken"),
            "/api/predict_home_price answers 500: broken",
        ),
        (lambda n, path: httpx.Response(200, json={"estimated_price": 0}), "/api/predict_home_price answers 200"),
        (lambda n, path: httpx.Response(200, text="<html>"), "after 300 s"),
    ],
)
def test_what_is_wrong_for_long_is_said(answer: Any, seen: str) -> None:
    time = Time()
    client, _ = router(answer)
    with pytest.raises(RolloutFailed, match=seen):
        check(client, clock=time, sleep=time.sleep)
    assert time.now >= rollout.PATIENCE_SECONDS


@pytest.fixture
def aws() -> tuple[Any, Stubber, Any, Stubber]:
    """Clients of AWS, whose responses a test sets."""
    session = boto3.session.Session()
    keys: Any = {"region_name": "ap-south-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    ssm, s3 = session.client("ssm", **keys), session.client("s3", **keys)
    return ssm, Stubber(ssm), s3, Stubber(s3)


def runs(ssm: Stubber, revision: str, status: str) -> None:
    """Expect a command that installs this revision and ends with this status."""
    sent = {
        "InstanceIds": ["i-1"],
        "DocumentName": "AWS-RunShellScript",
        "Parameters": {"commands": [f"/usr/local/bin/homeprices-release {revision}"]},
        "TimeoutSeconds": 600,
    }
    asked = {"CommandId": "c" * 36, "InstanceId": "i-1"}
    ssm.add_response("send_command", {"Command": {"CommandId": "c" * 36}}, sent)
    ssm.add_client_error("get_command_invocation", "InvocationDoesNotExist", expected_params=asked)
    ssm.add_response("get_command_invocation", {"Status": "InProgress"}, asked)
    ssm.add_response("get_command_invocation", {"Status": status, "StandardErrorContent": "no image"}, asked)


def before(s3: Stubber, revision: str | None) -> None:
    key = {"Bucket": "homes", "Key": "deploy/current"}
    if revision is None:
        s3.add_client_error("get_object", "NoSuchKey", expected_params=key)
    else:
        s3.add_response("get_object", {"Body": StreamingBody(io.BytesIO(revision.encode()), len(revision))}, key)


def rolled(aws: Any, look: Callable[[], str]) -> int:
    ssm, ssm_answers, s3, s3_answers = aws
    with ssm_answers, s3_answers:
        status = roll_out(Host(ssm, s3, "i-1", "homes", sleep=lambda _: None), "new", look)
        ssm_answers.assert_no_pending_responses()
        s3_answers.assert_no_pending_responses()
    return status


def test_a_release_that_serves_is_written_down(aws: Any) -> None:
    before(aws[3], "old")
    runs(aws[1], "new", "Success")
    aws[3].add_response("put_object", {}, {"Bucket": "homes", "Key": "deploy/current", "Body": b"new"})
    assert rolled(aws, lambda: "BO3") == 0


def test_a_release_that_does_not_start_is_taken_back(aws: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before(aws[3], "old")
    runs(aws[1], "new", "Failed")
    runs(aws[1], "old", "Success")
    assert rolled(aws, lambda: "BO3") == 1
    said = capsys.readouterr().err
    assert "new does not serve: new on i-1: Failed: no image" in said
    assert "rolled back to old, which serves BO3" in said


def test_a_release_that_starts_and_does_not_serve_is_taken_back(aws: Any) -> None:
    before(aws[3], "old")
    runs(aws[1], "new", "Success")
    runs(aws[1], "old", "Success")
    looks = iter([RolloutFailed("502"), None])

    def look() -> str:
        if (wrong := next(looks)) is not None:
            raise wrong
        return "BO3"

    assert rolled(aws, look) == 1


@pytest.mark.parametrize("earlier", [None, "new"])
def test_without_another_release_there_is_no_rollback(aws: Any, earlier: str | None) -> None:
    before(aws[3], earlier)
    runs(aws[1], "new", "TimedOut")
    assert rolled(aws, lambda: "BO3") == 2


def test_two_releases_that_do_not_serve_are_a_state_of_its_own(aws: Any) -> None:
    before(aws[3], "old")
    runs(aws[1], "new", "Cancelled")
    runs(aws[1], "old", "Failed")
    assert rolled(aws, lambda: "BO3") == 2


def test_the_program_checks_what_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        rollout.main(["host", "--url", "http://127.0.0.1:1"])
    assert "host needs --instance, --bucket and --revision" in capsys.readouterr().err
