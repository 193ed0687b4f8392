"""IAM documents, as pure functions of a stack's place: who may do what, statement by statement.

A workload gets what its code asks of the bucket and nothing else. `iac/README.md` has the table; the tests assert each
statement, its conditions included.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pulumi

from iac.stack_names import StackNames

Text = str | pulumi.Output[str]
Statement = dict[str, Any]
Document = dict[str, Any]


def document(*statements: Statement) -> Document:
    """A policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(sid: str, actions: Iterable[str], resources: Iterable[Text], condition: Statement | None = None) -> Statement:
    """What may be done, to what, and when."""
    found: Statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return {**found, "Condition": condition} if condition else found


def trust_service(service: str, place: StackNames, *, tag_session: bool = False) -> Document:
    """Lets an AWS service take a role, on behalf of this account alone."""
    statement: Statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": ["sts:AssumeRole", "sts:TagSession"] if tag_session else ["sts:AssumeRole"],
        "Condition": {"StringEquals": {"aws:SourceAccount": place.account}},
    }
    if service in {"ec2.amazonaws.com", "eks.amazonaws.com"}:  # they send no source account
        del statement["Condition"]
    return document(statement)


def trust_github(provider_arn: Text, repository: str, environment: str) -> Document:
    """Lets jobs of one repository's protected environment take a role, by a token that GitHub has signed."""
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Federated": provider_arn},
            "Action": ["sts:AssumeRoleWithWebIdentity"],
            "Condition": {
                "StringEquals": {
                    "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                    "token.actions.githubusercontent.com:sub": f"repo:{repository}:environment:{environment}",
                }
            },
        }
    )


def _listing(place: StackNames, prefixes: Iterable[str]) -> Statement:
    return allow(
        "List",
        ["s3:ListBucket"],
        [f"arn:aws:s3:::{place.bucket}"],
        {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}},
    )


def _objects(place: StackNames, sid: str, actions: Iterable[str], prefixes: Iterable[str]) -> Statement:
    return allow(sid, actions, [place.objects(f"{prefix}*") for prefix in prefixes])


READ, WRITE, DELETE = "s3:GetObject", "s3:PutObject", "s3:DeleteObject"
MULTIPART = "s3:AbortMultipartUpload"


def inference(place: StackNames) -> Document:
    """Production and candidate read bundles."""
    return document(_objects(place, "ReadBundles", [READ], ["models/"]), _listing(place, ["models/"]))


def router(place: StackNames) -> Document:
    """The agent reads the control record, takes a failing candidate's share away in it, and says what failed."""
    return document(
        _objects(place, "ControlRecord", [READ, WRITE], ["control/experiment.json"]),
        _objects(place, "Traffic", [WRITE], ["traffic/"]),
        _listing(place, ["control/experiment.json"]),
    )


def mlflow(place: StackNames) -> Document:
    """Artefacts of runs go through the server; bundles that versions point to are only read."""
    return document(
        _objects(place, "Artefacts", [READ, WRITE, DELETE, MULTIPART], ["mlflow/"]),
        _objects(place, "ReadBundles", [READ], ["models/"]),
        _listing(place, ["mlflow/", "models/"]),
    )


def exporter(place: StackNames) -> Document:
    """Monitoring reads what is in use, on trial and ended."""
    prefixes = ["models/", "archive/", "control/", "data/raw/", "reports/runs/"]
    return document(_objects(place, "Observe", [READ], prefixes), _listing(place, prefixes))


def airflow_work(place: StackNames) -> Document:
    """Tasks train, publish, promote, archive and score. Datasets and claims are never deleted."""
    kept = ["data/raw/", "claims/", "control/", "reports/", "notices/", "airflow-logs/"]
    moved = ["staging/", "models/", "archive/", "batch/"]
    return document(
        _objects(place, "ReadAndWrite", [READ, WRITE, MULTIPART], [*kept, *moved]),
        _objects(place, "Traffic", [READ], ["traffic/"]),
        _objects(place, "Replace", [DELETE], moved),
        _listing(place, [*kept, *moved, "traffic/"]),
    )


def airflow_control(place: StackNames) -> Document:
    """The API server shows the logs of tasks; scheduler and triggerer write theirs there."""
    return document(_objects(place, "Logs", [READ, WRITE], ["airflow-logs/"]), _listing(place, ["airflow-logs/"]))


def read_secrets(*arns: Text) -> Document:
    """Reads the named secrets, and can list none."""
    return document(allow("ReadSecrets", ["secretsmanager:GetSecretValue"], arns))


def pull_images(place: StackNames) -> Document:
    """Pulls this stack's images. A login token belongs to no repository, so that action knows no narrower resource."""
    repositories = [place.arn("ecr", f"repository/{place.prefix}/*")]
    return document(
        allow("Login", ["ecr:GetAuthorizationToken"], ["*"]),
        allow(
            "Pull", ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"], repositories
        ),
    )


def whole_host(place: StackNames) -> Document:
    """Everything that the compose files do with the bucket: containers of one host share its role."""
    prefixes = ["data/raw/", "claims/", "control/", "reports/", "notices/", "traffic/", "airflow-logs/", "staging/",
                "models/", "archive/", "batch/", "mlflow/"]  # fmt: skip
    return document(
        _objects(place, "ReadAndWrite", [READ, WRITE, MULTIPART], prefixes),
        _objects(place, "Replace", [DELETE], ["staging/", "models/", "archive/", "batch/", "mlflow/"]),
        _objects(place, "Releases", [READ], ["deploy/"]),
        _listing(place, prefixes),
    )


def write_logs(group_arn: Text) -> Document:
    """Writes into one log group."""
    streams = pulumi.Output.concat(group_arn, ":*")
    return document(allow("Write", ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"], [streams]))


def register_targets(target_groups: Iterable[Text]) -> Document:
    """Tells the load balancer which pods answer. Reading what exists knows no narrower resource."""
    return document(
        allow(
            "Register",
            ["elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"],
            target_groups,
        ),
        allow(
            "See",
            [
                "elasticloadbalancing:DescribeTargetGroups",
                "elasticloadbalancing:DescribeTargetHealth",
                "ec2:DescribeAvailabilityZones",
                "ec2:DescribeInstances",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            ["*"],
        ),
    )


def snapshots(place: StackNames) -> Document:
    """Takes and forgets snapshots of this stack's volumes; creating one needs the volume and the snapshot to be."""
    tagged = {"StringEquals": {"aws:ResourceTag/project": place.tags["project"]}}
    return document(
        allow("FromVolumes", ["ec2:CreateSnapshot", "ec2:CreateSnapshots"], [place.arn("ec2", "volume/*")], tagged),
        allow(
            "Snapshots",
            ["ec2:CreateSnapshot", "ec2:CreateSnapshots"],
            [f"arn:aws:ec2:{place.region}::snapshot/*"],
        ),
        allow(
            "TagNew",
            ["ec2:CreateTags"],
            [f"arn:aws:ec2:{place.region}::snapshot/*"],
            {"StringEquals": {"ec2:CreateAction": ["CreateSnapshot", "CreateSnapshots"]}},
        ),
        allow("Forget", ["ec2:DeleteSnapshot"], [f"arn:aws:ec2:{place.region}::snapshot/*"], tagged),
        allow("See", ["ec2:DescribeVolumes", "ec2:DescribeSnapshots", "ec2:DescribeInstances"], ["*"]),
    )


def release(place: StackNames, *, instance_arn: Text | None, cluster_arn: Text | None) -> Document:
    """What the pipeline's release step does: push images, put the release, and tell the target."""
    repositories = [place.arn("ecr", f"repository/{place.prefix}/*")]
    push = ["ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
            "ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:DescribeImages"]  # fmt: skip
    statements = [
        allow("Login", ["ecr:GetAuthorizationToken"], ["*"]),
        allow("Push", push, repositories),
        _objects(place, "Releases", [READ, WRITE], ["deploy/"]),
    ]
    if instance_arn is not None:
        shell = f"arn:aws:ssm:{place.region}::document/AWS-RunShellScript"
        statements += [
            allow("Tell", ["ssm:SendCommand"], [instance_arn, shell]),
            # A command's answer knows no narrower resource.
            allow("Hear", ["ssm:GetCommandInvocation"], ["*"]),
        ]
    if cluster_arn is not None:
        statements.append(allow("Find", ["eks:DescribeCluster"], [cluster_arn]))
    return document(*statements)


def only_tls(bucket_arn: str) -> Statement:
    """Refuses whoever does not speak TLS to a bucket. Of a refusal, everything is the narrowest."""
    return {
        "Sid": "OnlyTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket_arn, f"{bucket_arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def deliver_access_logs(place: StackNames) -> list[Statement]:
    """Lets the load balancer and S3 of this account write access logs."""
    bucket = f"arn:aws:s3:::{place.access_log_bucket}"
    own = {"StringEquals": {"aws:SourceAccount": place.account}}
    return [
        {
            "Sid": sid,
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "s3:PutObject",
            "Resource": f"{bucket}/{folder}/*",
            "Condition": own,
        }
        for sid, service, folder in (
            ("LoadBalancer", "logdelivery.elasticloadbalancing.amazonaws.com", "load-balancer"),
            ("Bucket", "logging.s3.amazonaws.com", "bucket"),
        )
    ]


def through_endpoint(place: StackNames) -> Document:
    """What may be asked of S3 from inside the network: this account's buckets, image layers, the system's packages."""
    own = {"StringEquals": {"aws:ResourceAccount": place.account}}
    layers = [f"arn:aws:s3:::prod-{place.region}-starport-layer-bucket/*"]
    packages = [f"arn:aws:s3:::al2023-repos-{place.region}-de612dc2/*"]
    anybody = {"Principal": "*"}  # it is still the caller's own policy that allows
    return document(
        {**allow("OwnBuckets", ["s3:*"], ["*"], own), **anybody},
        {**allow("ImageLayersAndPackages", [READ], [*layers, *packages]), **anybody},
    )
