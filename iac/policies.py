"""IAM policies, as pure functions of a stack's names.

A workload may do what its code needs and nothing else. `compose/bucket_rights.py` has the rights to the bucket, and
`iac/permissions.md` the table; the tests assert each statement, including its conditions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pulumi

from compose import bucket_rights
from compose.bucket_rights import DELETE, HOLDS, MULTIPART, READ, WRITE
from iac.stack_names import StackNames

Text = str | pulumi.Output[str]
Statement = dict[str, Any]
Document = dict[str, Any]


def document(*statements: Statement) -> Document:
    """Return a policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(sid: str, actions: Iterable[str], resources: Iterable[Text], condition: Statement | None = None) -> Statement:
    """Return a statement that allows actions on resources, under a condition if there is one."""
    statement: Statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return {**statement, "Condition": condition} if condition else statement


def trust_service(service: str, names: StackNames, *, tag_session: bool = False) -> Document:
    """Let an AWS service assume a role, on behalf of this account only."""
    statement: Statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": ["sts:AssumeRole", "sts:TagSession"] if tag_session else ["sts:AssumeRole"],
        "Condition": {"StringEquals": {"aws:SourceAccount": names.account}},
    }
    if service in {"ec2.amazonaws.com", "eks.amazonaws.com"}:  # these services send no source account
        del statement["Condition"]
    return document(statement)


def trust_github(provider_arn: Text, repository: str, environment: str) -> Document:
    """Let jobs in the protected environment of one repository assume a role, with a token that GitHub has signed."""
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


def _listing(names: StackNames, prefixes: Iterable[str]) -> Statement:
    return allow(
        "List",
        ["s3:ListBucket"],
        [f"arn:aws:s3:::{names.bucket}"],
        {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}},
    )


def _objects(names: StackNames, sid: str, actions: Iterable[str], prefixes: Iterable[str]) -> Statement:
    return allow(sid, actions, [names.objects(f"{prefix}*") for prefix in prefixes])


def inference(names: StackNames) -> Document:
    """Inference services, production and candidate."""
    return bucket_rights.document("inference", names.bucket)


def router(names: StackNames) -> Document:
    """Router agent."""
    return bucket_rights.document("router", names.bucket)


def mlflow(names: StackNames) -> Document:
    """MLflow server."""
    return bucket_rights.document("mlflow", names.bucket)


def exporter(names: StackNames) -> Document:
    """Exporter."""
    return bucket_rights.document("exporter", names.bucket)


def airflow_work(names: StackNames) -> Document:
    """Airflow tasks."""
    return bucket_rights.document("pipeline", names.bucket)


def key_administrator(names: StackNames) -> Document:
    """Person who runs `homeprices keys`: change the ring of API keys, and read their use. No workload may."""
    return bucket_rights.policy(bucket_rights.KEY_ADMINISTRATOR, names.bucket)


def airflow_control(names: StackNames) -> Document:
    """Airflow's servers."""
    return bucket_rights.document("airflow", names.bucket)


def read_secrets(*arns: Text) -> Document:
    """Read the named secrets, without listing any."""
    return document(allow("ReadSecrets", ["secretsmanager:GetSecretValue"], arns))


def pull_images(names: StackNames) -> Document:
    """Pull this stack's images. The action of the login token supports no narrower resource than `*`."""
    repositories = [names.arn("ecr", f"repository/{names.prefix}/*")]
    return document(
        allow("Login", ["ecr:GetAuthorizationToken"], ["*"]),
        allow(
            "Pull", ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"], repositories
        ),
    )


def whole_host(names: StackNames) -> Document:
    """Host: everything that the compose files do with the bucket, because the containers share the host's role."""
    prefixes = ["data/raw/", "claims/", "control/", "reports/", "notices/", "traffic/", "airflow-logs/", "staging/",
                "models/", "archive/", "batch/", "features/", "mlflow/", "keys/"]  # fmt: skip
    return document(
        _objects(names, "ReadAndWrite", [READ, WRITE, MULTIPART], prefixes),
        _objects(
            names, "Replace", [DELETE], ["staging/", "models/", "archive/", "batch/", "features/", "mlflow/", *HOLDS]
        ),
        _objects(names, "ReadBatchSources", [READ], ["data/batch/"]),
        _objects(names, "Releases", [READ], ["deploy/"]),
        _listing(names, [*prefixes, "data/batch/"]),
    )


def write_logs(group_arn: Text) -> Document:
    """Write to one log group."""
    streams = pulumi.Output.concat(group_arn, ":*")
    return document(allow("Write", ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"], [streams]))


def register_targets(target_groups: Iterable[Text]) -> Document:
    """Load balancer controller: register pods as targets. The read actions support no narrower resource than `*`."""
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


def snapshots(names: StackNames) -> Document:
    """Create and delete snapshots of this stack's volumes. Creation needs both the volume and the snapshot."""
    tagged = {"StringEquals": {"aws:ResourceTag/project": names.tags["project"]}}
    return document(
        allow("FromVolumes", ["ec2:CreateSnapshot", "ec2:CreateSnapshots"], [names.arn("ec2", "volume/*")], tagged),
        allow(
            "Snapshots",
            ["ec2:CreateSnapshot", "ec2:CreateSnapshots"],
            [f"arn:aws:ec2:{names.region}::snapshot/*"],
        ),
        allow(
            "TagNew",
            ["ec2:CreateTags"],
            [f"arn:aws:ec2:{names.region}::snapshot/*"],
            {"StringEquals": {"ec2:CreateAction": ["CreateSnapshot", "CreateSnapshots"]}},
        ),
        allow("Forget", ["ec2:DeleteSnapshot"], [f"arn:aws:ec2:{names.region}::snapshot/*"], tagged),
        allow("See", ["ec2:DescribeVolumes", "ec2:DescribeSnapshots", "ec2:DescribeInstances"], ["*"]),
    )


def release(names: StackNames, *, instance_arn: Text | None, cluster_arn: Text | None) -> Document:
    """Release step of the pipeline: push images, upload the release, and deploy it to the target."""
    repositories = [names.arn("ecr", f"repository/{names.prefix}/*")]
    push = ["ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
            "ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:DescribeImages",
            "ecr:GetDownloadUrlForLayer"]  # fmt: skip
    statements = [
        allow("Login", ["ecr:GetAuthorizationToken"], ["*"]),
        allow("Push", push, repositories),
        _objects(names, "Releases", [READ, WRITE], ["deploy/"]),
    ]
    if instance_arn is not None:
        shell = f"arn:aws:ssm:{names.region}::document/AWS-RunShellScript"
        statements += [
            allow("Tell", ["ssm:SendCommand"], [instance_arn, shell]),
            # Reading a command's result supports no narrower resource than `*`.
            allow("Hear", ["ssm:GetCommandInvocation"], ["*"]),
        ]
    if cluster_arn is not None:
        statements.append(allow("Find", ["eks:DescribeCluster"], [cluster_arn]))
    return document(*statements)


def only_tls(bucket_arn: str) -> Statement:
    """Deny access to a bucket without TLS, for every principal and action."""
    return {
        "Sid": "OnlyTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket_arn, f"{bucket_arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def deliver_access_logs(names: StackNames) -> list[Statement]:
    """Let the load balancer and S3 of this account write access logs."""
    bucket = f"arn:aws:s3:::{names.access_log_bucket}"
    own = {"StringEquals": {"aws:SourceAccount": names.account}}
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


def through_endpoint(names: StackNames) -> Document:
    """Policy of the S3 endpoint: this account's buckets, image layers, and the system's packages."""
    own = {"StringEquals": {"aws:ResourceAccount": names.account}}
    layers = [f"arn:aws:s3:::prod-{names.region}-starport-layer-bucket/*"]
    packages = [f"arn:aws:s3:::al2023-repos-{names.region}-de612dc2/*"]
    anybody = {"Principal": "*"}  # the caller's own policy must allow the action too
    return document(
        {**allow("OwnBuckets", ["s3:*"], ["*"], own), **anybody},
        {**allow("ImageLayersAndPackages", [READ], [*layers, *packages]), **anybody},
    )
