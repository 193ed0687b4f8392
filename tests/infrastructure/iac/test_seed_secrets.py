"""Filling the application's secret, with responses in the format of Secrets Manager."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from iac import seed_secrets

ARN = "arn:aws:secretsmanager:ap-south-1:111122223333:secret:homeprices-production/application-AbCdEf"


@pytest.fixture
def client() -> Any:
    """A client of AWS's secrets, without a server."""
    return boto3.session.Session().client(
        "secretsmanager", region_name="ap-south-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


def test_an_empty_secret_gets_every_name(client: Any) -> None:
    with Stubber(client) as answers:
        answers.add_client_error("get_secret_value", "ResourceNotFoundException", expected_params={"SecretId": ARN})
        answers.add_response("put_secret_value", {}, {"SecretId": ARN, "SecretString": ANY})
        assert seed_secrets.seed(client, ARN) == sorted(seed_secrets.WANTED)
        answers.assert_no_pending_responses()


def test_what_is_there_stays_and_what_is_missing_is_made() -> None:
    values, made = seed_secrets.completed({"POSTGRES_PASSWORD": "kept", "MINE": "too", "REDIS_PASSWORD": ""})
    assert (values["POSTGRES_PASSWORD"], values["MINE"]) == ("kept", "too")
    assert "REDIS_PASSWORD" in made and "POSTGRES_PASSWORD" not in made
    assert set(values) == {*seed_secrets.WANTED, "MINE"}
    assert all(len(values[name]) >= 16 for name in made)


def test_a_complete_secret_is_not_written_again(client: Any) -> None:
    held = dict.fromkeys(seed_secrets.WANTED, "a value")
    with Stubber(client) as answers:
        answers.add_response("get_secret_value", {"SecretString": json.dumps(held)}, {"SecretId": ARN})
        assert seed_secrets.seed(client, ARN) == []


def test_keys_and_the_masters_password_are_not_made_here() -> None:
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "POSTGRES_SUPERUSER_PASSWORD"} & set(seed_secrets.WANTED)
    assert "HOMEPRICES_AIRFLOW_PASSWORD" in seed_secrets.WANTED
