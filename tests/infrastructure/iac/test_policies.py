"""IAM documents, statement by statement, conditions included."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from typing import Any

import pytest

from iac import policies
from iac.stack_names import StackNames
from tests.infrastructure.iac.graph import Graph

PLACE = StackNames("homeprices-production", "ap-south-1", "111122223333")
BUCKET = "arn:aws:s3:::homeprices-production-data-111122223333"
GET, PUT, DELETE, LIST = "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"


def rights(document: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return every (action, resource, condition) that a document allows."""
    assert document["Version"] == "2012-10-17"
    found = set()
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow"
        assert set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}
        condition = json.dumps(statement.get("Condition"), sort_keys=True)
        found |= {(action, resource, condition) for action in statement["Action"] for resource in statement["Resource"]}
    return found


def expected(objects: dict[str, str], listed: str) -> set[tuple[str, str, str]]:
    """`objects`: actions by key pattern; `listed`: the prefixes that may be listed."""
    verbs = {"r": GET, "w": PUT, "d": DELETE, "m": "s3:AbortMultipartUpload"}
    found = {(verbs[letter], f"{BUCKET}/{key}", "null") for key, letters in objects.items() for letter in letters}
    prefixes = json.dumps({"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in listed.split()]}})
    return found | {(LIST, BUCKET, prefixes)}


@pytest.mark.parametrize(
    ("document", "objects", "listed"),
    [
        (
            policies.inference(PLACE),
            {**dict.fromkeys(("models/*", "features/*", "keys/ring.json*"), "r")},
            "models/ features/ claims/ keys/ring.json",
        ),
        (
            policies.router(PLACE),
            {"control/experiment.json*": "rw", "keys/ring.json*": "r", "traffic/*": "w", "keys/usage/*": "w"},
            "control/experiment.json keys/ring.json",
        ),
        (policies.key_administrator(PLACE), {"keys/ring.json*": "rw", "keys/usage/*": "r"}, "keys/"),
        (policies.mlflow(PLACE), {"mlflow/*": "rwdm", "models/*": "r"}, "mlflow/ models/"),
        (
            policies.exporter(PLACE),
            {
                **dict.fromkeys(("models/*", "archive/*", "control/*", "data/raw/*", "reports/*"), "r"),
                "keys/ring.json*": "r",
            },
            "models/ archive/ control/ data/raw/ reports/ claims/ keys/ring.json",
        ),
        (policies.airflow_control(PLACE), {"airflow-logs/*": "rw"}, "airflow-logs/"),
        (
            policies.airflow_work(PLACE),
            {
                **dict.fromkeys(
                    ("data/raw/*", "claims/*", "control/*", "reports/*", "notices/*", "airflow-logs/*"), "rwm"
                ),
                "traffic/*": "r",
                "data/batch/*": "r",
                **dict.fromkeys(("staging/*", "models/*", "archive/*", "batch/*", "features/*"), "rwmd"),
                **dict.fromkeys(("control/hold.json*", "control/shadow-hold.json*"), "d"),
            },
            "data/raw/ claims/ control/ reports/ notices/ airflow-logs/ staging/ models/ archive/ batch/ "
            "features/ traffic/ data/batch/",
        ),
    ],
    ids=["inference", "router", "key_administrator", "mlflow", "exporter", "airflow_control", "airflow_work"],
)
def test_a_workload_may_do_this_and_nothing_else(
    document: dict[str, Any], objects: dict[str, str], listed: str
) -> None:
    assert rights(document) == expected(objects, listed)


def test_no_workload_can_make_itself_an_api_key() -> None:
    workloads = (policies.inference, policies.router, policies.mlflow, policies.exporter, policies.airflow_work,
                 policies.airflow_control)  # fmt: skip
    for workload in workloads:
        written = {resource for action, resource, _ in rights(workload(PLACE)) if action != GET}
        assert not any(fnmatch(f"{BUCKET}/keys/ring.json", resource) for resource in written)


def test_datasets_and_claims_are_deleted_by_nobody() -> None:
    for document in (policies.airflow_work(PLACE), policies.whole_host(PLACE), policies.mlflow(PLACE)):
        for action, resource, _ in rights(document):
            assert not (action == DELETE and resource.removeprefix(f"{BUCKET}/").startswith(("data/", "claims/")))


def test_the_release_pushes_puts_and_tells_one_instance() -> None:
    document = policies.release(PLACE, instance_arn="arn:instance", cluster_arn=None)
    repositories = "arn:aws:ecr:ap-south-1:111122223333:repository/homeprices-production/*"
    pushes = {action for action, resource, _ in rights(document) if resource == repositories}
    assert pushes == {
        "ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
        "ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer",
    }  # fmt: skip
    assert {r for r in rights(document) if r[1] != repositories} == {
        ("ecr:GetAuthorizationToken", "*", "null"),
        (GET, f"{BUCKET}/deploy/*", "null"),
        (PUT, f"{BUCKET}/deploy/*", "null"),
        ("ssm:SendCommand", "arn:instance", "null"),
        ("ssm:SendCommand", "arn:aws:ssm:ap-south-1::document/AWS-RunShellScript", "null"),
        ("ssm:GetCommandInvocation", "*", "null"),
    }


def test_the_release_to_a_cluster_only_finds_it() -> None:
    document = policies.release(PLACE, instance_arn=None, cluster_arn="arn:cluster")
    assert ("eks:DescribeCluster", "arn:cluster", "null") in rights(document)
    assert not [right for right in rights(document) if right[0].startswith("ssm:")]


def test_snapshots_are_of_this_projects_volumes_only() -> None:
    own = json.dumps({"StringEquals": {"aws:ResourceTag/project": "homeprices"}})
    snapshots = "arn:aws:ec2:ap-south-1::snapshot/*"
    creating = json.dumps({"StringEquals": {"ec2:CreateAction": ["CreateSnapshot", "CreateSnapshots"]}})
    assert rights(policies.snapshots(PLACE)) == {
        ("ec2:CreateSnapshot", "arn:aws:ec2:ap-south-1:111122223333:volume/*", own),
        ("ec2:CreateSnapshots", "arn:aws:ec2:ap-south-1:111122223333:volume/*", own),
        ("ec2:CreateSnapshot", snapshots, "null"),
        ("ec2:CreateSnapshots", snapshots, "null"),
        ("ec2:CreateTags", snapshots, creating),
        ("ec2:DeleteSnapshot", snapshots, own),
        *((f"ec2:Describe{what}", "*", "null") for what in ("Volumes", "Snapshots", "Instances")),
    }


def test_targets_are_registered_in_the_named_groups_only() -> None:
    found = rights(policies.register_targets(["arn:group"]))
    assert {(a, r) for a, r, _ in found if r != "*"} == {
        ("elasticloadbalancing:RegisterTargets", "arn:group"),
        ("elasticloadbalancing:DeregisterTargets", "arn:group"),
    }
    assert all(action.split(":")[1].startswith("Describe") for action, resource, _ in found if resource == "*")


def test_a_service_takes_a_role_for_this_account_only() -> None:
    assert policies.trust_service("dlm.amazonaws.com", PLACE)["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "dlm.amazonaws.com"},
            "Action": ["sts:AssumeRole"],
            "Condition": {"StringEquals": {"aws:SourceAccount": "111122223333"}},
        }
    ]


def test_a_pod_takes_a_role_with_its_session_tags() -> None:
    (statement,) = policies.trust_service("pods.eks.amazonaws.com", PLACE, tag_session=True)["Statement"]
    assert statement["Action"] == ["sts:AssumeRole", "sts:TagSession"]


def test_github_takes_a_role_for_an_approved_environment_of_one_repository() -> None:
    (statement,) = policies.trust_github("arn:provider", "me/homes", "production")["Statement"]
    assert statement["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": "repo:me/homes:environment:production",
        }
    }


def test_through_the_endpoint_only_this_accounts_buckets_are_written() -> None:
    writing, reading = policies.through_endpoint(PLACE)["Statement"]
    assert writing["Condition"] == {"StringEquals": {"aws:ResourceAccount": "111122223333"}}
    assert reading["Action"] == [GET]
    assert all("ap-south-1" in bucket for bucket in reading["Resource"])


def test_access_logs_are_delivered_by_two_services_of_this_account() -> None:
    statements = policies.deliver_access_logs(PLACE)
    assert {s["Principal"]["Service"] for s in statements} == {
        "logdelivery.elasticloadbalancing.amazonaws.com",
        "logging.s3.amazonaws.com",
    }
    assert all(s["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}} for s in statements)
    assert all(s["Action"] == "s3:PutObject" for s in statements)


def test_each_workload_of_the_cluster_has_a_role_with_its_own_document(graphs: dict[str, Graph]) -> None:
    graph = graphs["kubernetes"]
    found = {}
    for association in graph.of("aws:eks:PodIdentityAssociation"):
        name = association.name
        assert association.inputs["roleArn"].endswith(f"/{name}")
        found[association.inputs["serviceAccount"]] = json.loads(
            graph.one("aws:iam:RolePolicy", f"{name}-may").inputs["policy"]
        )
    assert found["inference"] == policies.inference(PLACE)
    assert found["router"] == policies.router(PLACE)
    assert found["airflow-worker"] == policies.airflow_work(PLACE)
    assert set(found) == {
        "inference", "router", "mlflow", "exporter", "airflow-worker", "airflow-api-server", "airflow-scheduler",
        "airflow-triggerer", "external-secrets", "aws-load-balancer-controller",
    }  # fmt: skip
