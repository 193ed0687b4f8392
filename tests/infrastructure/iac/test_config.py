"""A stack's configuration: rejected values and their messages."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from iac.config import ConfigurationRefused, load, parse
from tests.infrastructure.iac.graph import configure, stack_files


def with_value(stack: str, path: str, value: Any) -> dict[str, Any]:
    values = copy.deepcopy(stack_files()[stack])
    place = values
    *folders, last = path.split(".")
    for folder in folders:
        place = place.setdefault(folder, {})
    if value is None:
        del place[last]
    else:
        place[last] = value
    return values


@pytest.mark.parametrize("stack", sorted(stack_files()))
def test_every_stack_file_is_a_configuration(stack: str) -> None:
    assert parse(stack_files()[stack]).environment in {"trial", "production"}


@pytest.mark.parametrize(
    ("stack", "path", "value", "sentence"),
    [
        ("host", "databas", {}, "databas: Extra inputs are not permitted"),
        ("host", "network.zone", 2, "network.zone: Extra inputs are not permitted"),
        ("host", "network.zones", 4, "network.zones: Input should be less than or equal to 3 (given 4)"),
        ("host", "network.zones", 1, "network.zones: Input should be greater than or equal to 2"),
        ("host", "network.cidr", "8.8.0.0/16", "8.8.0.0/16 must be a private network between /16 and /20"),
        ("host", "network.cidr", "10.0.0.0/24", "must be a private network between /16 and /20"),
        ("host", "network.nat", "two", "network.nat: Input should be 'none', 'one' or 'each_zone' (given 'two')"),
        ("host", "target", "ecs", "target: Input should be 'host' or 'kubernetes' (given 'ecs')"),
        ("host", "host", None, "target is host, and there is no part host"),
        ("host", "kubernetes", {"admin_role_arn": "arn:aws:iam::111122223333:role/a"}, "kubernetes has no meaning"),
        ("host", "account", "1234", "account: String should match pattern"),
        ("host", "region", "eu-west-1", "certificate_arn is of 111122223333 in ap-south-1"),
        ("host", "host.instance_type", "m7i.xlarge", "m7i.xlarge does not run images of arm64"),
        ("host", "host.architecture", "x86_64", "m7g.xlarge does not run images of x86_64"),
        ("host", "database.max_storage_gib", 20, "max_storage_gib 20 is below storage_gib 50"),
        ("host", "database.backup_days", 1, "production keeps backups for 7 days or longer, not 1"),
        ("host", "database.engine_version", "9.6", "database.engine_version: String should match pattern"),
        ("kubernetes", "database.multi_az", False, "production on kubernetes has database.multi_az"),
        ("kubernetes", "network.nat", "one", "production on kubernetes has network.nat each_zone"),
        ("kubernetes", "kubernetes.api_cidrs", ["0.0.0.0/0"], "0.0.0.0/0 lets too many in"),
        ("kubernetes", "kubernetes.services.maximum", 2, "maximum 2 is below minimum 3"),
        ("kubernetes", "oidc.issuer", "http://id.example.com", "oidc.issuer: String should match pattern"),
        ("host", "budget_usd_month", 0, "budget_usd_month: Input should be greater than or equal to 10 (given 0)"),
        ("host", "alarm_email", "nobody", "alarm_email: String should match pattern"),
        ("host", "domain", "https://homes.example.com/", "domain: String should match pattern"),
    ],
)
def test_a_wrong_value_is_refused_with_a_sentence(stack: str, path: str, value: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        parse(with_value(stack, path, value))
    assert sentence in str(refused.value)


def test_a_key_beside_the_stack_is_refused() -> None:
    configure(stack_files()["trial"], **{"homeprices:stak": "{}"})
    with pytest.raises(ConfigurationRefused, match="unknown key homeprices:stak; known are"):
        load()


def test_a_secret_of_an_identity_provider_that_is_not_used_is_refused() -> None:
    configure(stack_files()["trial"], **{"homeprices:oidcClientSecret": "x"})
    with pytest.raises(ConfigurationRefused, match=r"oidcClientSecret is set, and stack\.oidc is not"):
        load()


def test_pulumi_itself_may_have_other_keys() -> None:
    configure(stack_files()["trial"], **{"aws:skipMetadataApiCheck": "true"})
    assert load()[0].target == "host"
