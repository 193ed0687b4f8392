"""Every stack file keeps every rule, and every rule detects its violation."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.infrastructure.iac import rules
from tests.infrastructure.iac.graph import OIDC_SECRET, Graph, Resource, all_stacks, stack_files

STACKS = sorted(all_stacks())
PRODUCTION = [name for name, values in stack_files().items() if values["environment"] == "production"]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_rule_holds_of_a_stack(graphs: dict[str, Graph], stack: str, rule: rules.Rule) -> None:
    assert list(rule(graphs[stack])) == []


@pytest.mark.parametrize(
    "stack", [name for name, values in stack_files().items() if values["environment"] == "production"]
)
@pytest.mark.parametrize("rule", rules.PRODUCTION_RULES, ids=lambda rule: rule.__name__)
def test_a_rule_holds_of_production(graphs: dict[str, Graph], stack: str, rule: rules.Rule) -> None:
    assert list(rule(graphs[stack])) == []


def changed(kind: str, **values: Any) -> Callable[[Graph], None]:
    """Set another value of an input; None removes it."""

    def change(graph: Graph) -> None:
        resource = graph.of(kind)[0]
        for path, value in values.items():
            place: Any = resource.inputs
            *folders, last = path.split("__")
            for folder in folders:
                place = place[int(folder) if folder.isdigit() else folder]
            if value is None:
                del place[last]
            else:
                place[last] = value

    return change


def visitors_door(**values: Any) -> Callable[[Graph], None]:
    """Set another value in the public ingress rule; resources have no fixed order."""

    def change(graph: Graph) -> None:
        (door,) = [rule for rule in graph.of(INGRESS) if rule.inputs.get("cidrIpv4") == "0.0.0.0/0"]
        door.inputs.update(values)

    return change


def removed(kind: str) -> Callable[[Graph], None]:
    """Remove the first resource of a kind."""
    return lambda graph: graph.resources.remove(graph.of(kind)[0])


def added(kind: str, **inputs: Any) -> Callable[[Graph], None]:
    """Add a resource."""
    return lambda graph: graph.resources.append(Resource(kind, "added", inputs, "x::aws::y"))


def stated(kind: str, place: str, **values: Any) -> Callable[[Graph], None]:
    """Set another value in the first allowing statement of a document."""

    def change(graph: Graph) -> None:
        resource = next(
            r for r in graph.of(kind) if (place in r.inputs and "-inference" in r.name) or kind != "aws:iam:RolePolicy"
        )
        document = json.loads(resource.inputs[place])
        document["Statement"][0].update(values)
        resource.inputs[place] = json.dumps(document)

    return change


def exported(graph: Graph) -> None:
    graph.outputs["secret"] = OIDC_SECRET


def unprotected(kind: str) -> Callable[[Graph], None]:
    def change(graph: Graph) -> None:
        graph.of(kind)[0].protect = False

    return change


def of_another_provider(graph: Graph) -> None:
    graph.of("aws:s3:Bucket")[0].provider = ""


def untagged(graph: Graph) -> None:
    provider = graph.of("pulumi:providers:aws")[0]
    provider.inputs["defaultTags"] = {"tags": {"project": "homeprices"}}


def public_database(graph: Graph) -> None:
    graph.of("aws:rds:SubnetGroup")[0].inputs["subnetIds"] = [f"{graph.of('aws:ec2:Subnet')[0].name}-id"]


def way_out(graph: Graph) -> None:
    (isolated,) = [t.name for t in graph.of("aws:ec2:RouteTable") if t.name.endswith("isolated")]
    graph.of("aws:ec2:Route")[0].inputs["routeTableId"] = f"{isolated}-id"


def cut_off(port: int) -> Callable[[Graph], None]:
    """Remove the egress rules to a port."""

    def change(graph: Graph) -> None:
        for rule in graph.of("aws:vpc:SecurityGroupEgressRule"):
            if rule.inputs["fromPort"] == port:
                graph.resources.remove(rule)

    return change


def long_name(graph: Graph) -> None:
    graph.of("aws:lb:TargetGroup")[0].inputs["name"] = "a-name-of-thirty-three-characters"


INGRESS, INSTANCE, CLUSTER = "aws:vpc:SecurityGroupIngressRule", "aws:ec2:Instance", "aws:eks:Cluster"
DATABASE, TEMPLATE, BUCKET = "aws:rds:Instance", "aws:ec2:LaunchTemplate", "aws:s3:Bucket"
FEDERATED = {"Principal": {"Federated": "arn:aws:iam::1:oidc-provider/x"}}
BROKEN: list[tuple[str, rules.Rule, Callable[[Graph], None]]] = [
    ("host", rules.open_to_the_world, visitors_door(fromPort=80, toPort=80)),
    ("host", rules.open_to_the_world, visitors_door(securityGroupId="another")),
    ("host", rules.open_to_the_world, added(INGRESS, securityGroupId="a", cidrIpv4="10.0.0.0/8", fromPort=22)),
    ("host", rules.open_to_the_world, changed("aws:ec2:SecurityGroup", ingress=[{"cidrBlocks": ["0.0.0.0/0"]}])),
    ("host", rules.open_to_the_world, changed("aws:ec2:Subnet", mapPublicIpOnLaunch=True)),
    ("host", rules.open_to_the_world, changed(INSTANCE, associatePublicIpAddress=True)),
    ("host", rules.open_to_the_world, changed(INSTANCE, keyName="mine")),
    ("host", rules.open_to_the_world, changed(DATABASE, publiclyAccessible=True)),
    ("kubernetes", rules.open_to_the_world, changed(CLUSTER, vpcConfig__endpointPublicAccess=True)),
    ("host", rules.open_to_the_world, changed("aws:lb:Listener", protocol="HTTP", port=80)),
    ("host", rules.open_to_the_world, changed("aws:lb:Listener", sslPolicy="ELBSecurityPolicy-2016-08")),
    ("host", rules.private_subnets, changed(INSTANCE, subnetId="homeprices-production-public-0-id")),
    ("host", rules.private_subnets, public_database),
    ("host", rules.private_subnets, way_out),
    ("host", rules.reached, cut_off(5432)),
    ("kubernetes", rules.reached, cut_off(6500)),
    ("host", rules.buckets, removed("aws:s3:BucketPublicAccessBlock")),
    ("host", rules.buckets, changed("aws:s3:BucketPublicAccessBlock", blockPublicPolicy=False)),
    ("host", rules.buckets, changed("aws:s3:BucketVersioning", versioningConfiguration__status="Suspended")),
    ("host", rules.buckets, removed("aws:s3:BucketServerSideEncryptionConfiguration")),
    ("host", rules.buckets, stated("aws:s3:BucketPolicy", "policy", Effect="Allow")),
    ("host", rules.encrypted_disks, changed("aws:ebs:Volume", encrypted=False)),
    ("host", rules.encrypted_disks, changed(INSTANCE, rootBlockDevice__encrypted=False)),
    ("kubernetes", rules.encrypted_disks, changed(TEMPLATE, blockDeviceMappings__0__ebs__encrypted="false")),
    ("host", rules.encrypted_disks, changed(DATABASE, storageEncrypted=False)),
    ("kubernetes", rules.encrypted_disks, changed(CLUSTER, encryptionConfig=None)),
    ("host", rules.encrypted_disks, changed("aws:sns:Topic", kmsMasterKeyId=None)),
    ("host", rules.encrypted_disks, changed("aws:ecr:Repository", encryptionConfigurations=[])),
    ("kubernetes", rules.wildcards, stated("aws:iam:RolePolicy", "policy", Action=["s3:*"])),
    ("kubernetes", rules.wildcards, stated("aws:iam:RolePolicy", "policy", Resource=["*"])),
    ("kubernetes", rules.wildcards, stated("aws:iam:RolePolicy", "policy", NotAction=["iam:*"])),
    ("host", rules.wildcards, changed("aws:iam:RolePolicyAttachment", policyArn="aws:policy/AdministratorAccess")),
    ("host", rules.trusts, stated("aws:iam:Role", "assumeRolePolicy", Principal={"AWS": "*"})),
    ("host", rules.trusts, stated("aws:iam:Role", "assumeRolePolicy", **FEDERATED)),
    ("host", rules.tags, untagged),
    ("host", rules.tags, of_another_provider),
    ("kubernetes", rules.tags, changed(TEMPLATE, tagSpecifications=[])),
    ("host", rules.tags, changed(INSTANCE, rootBlockDevice__tags={})),
    ("host", rules.tags, changed(DATABASE, copyTagsToSnapshot=False)),
    ("host", rules.names, long_name),
    ("host", rules.names, changed(BUCKET, bucket="b" * 64)),
    ("host", rules.metadata, changed(INSTANCE, metadataOptions__httpTokens="optional")),
    ("kubernetes", rules.metadata, changed(TEMPLATE, metadataOptions__httpPutResponseHopLimit=2)),
    ("host", rules.images, changed("aws:ecr:Repository", imageTagMutability="MUTABLE")),
    ("host", rules.images, changed("aws:ecr:Repository", imageScanningConfiguration__scanOnPush=False)),
    ("host", rules.kept_logs, changed("aws:cloudwatch:LogGroup", retentionInDays=None)),
    ("host", rules.kept_logs, removed("aws:ec2:FlowLog")),
    ("host", rules.kept_logs, changed("aws:lb:LoadBalancer", accessLogs__enabled=False)),
    ("host", rules.secrets_stay_secret, changed(DATABASE, password="known")),
    ("host", rules.secrets_stay_secret, added("aws:secretsmanager:SecretVersion", secretString="known")),
    ("kubernetes", rules.secrets_stay_secret, exported),
    ("host", rules.secrets_stay_secret, changed(INSTANCE, userData="POSTGRES_PASSWORD='known'")),
    ("host", rules.watched, changed("aws:cloudwatch:MetricAlarm", alarmActions=[])),
    ("host", rules.watched, removed("aws:budgets:Budget")),
    ("host", rules.production_is_protected, changed(DATABASE, deletionProtection=False)),
    ("host", rules.production_is_protected, changed(DATABASE, skipFinalSnapshot=True)),
    ("host", rules.production_is_protected, changed(DATABASE, backupRetentionPeriod=1)),
    ("host", rules.production_is_protected, changed("aws:lb:LoadBalancer", enableDeletionProtection=False)),
    ("host", rules.production_is_protected, changed(INSTANCE, disableApiTermination=False)),
    ("kubernetes", rules.production_is_protected, changed(CLUSTER, deletionProtection=False)),
    ("host", rules.production_is_protected, changed(BUCKET, forceDestroy=True)),
    ("host", rules.production_is_protected, unprotected("aws:ebs:Volume")),
    ("host", rules.production_is_protected, unprotected(DATABASE)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("stack", "rule", "breaks"), BROKEN, ids=[f"{i}-{b[1].__name__}" for i, b in enumerate(BROKEN)]
)
def test_a_rule_sees_what_breaks_it(
    graphs: dict[str, Graph], stack: str, rule: rules.Rule, breaks: Callable[[Graph], None]
) -> None:
    graph = copy.deepcopy(graphs[stack])
    breaks(graph)
    assert list(rule(graph)) != []


def test_every_rule_is_broken_once() -> None:
    assert {rule for _, rule, _ in BROKEN} == {*rules.RULES, *rules.PRODUCTION_RULES}


def test_every_allowed_wildcard_is_used(graphs: dict[str, Graph]) -> None:
    used = {
        (resource.name.split("-")[-1], statement.get("Sid"))
        for graph in graphs.values()
        for resource, document in rules.documents(graph)
        for statement in document["Statement"]
        if "*" in rules._listed(statement["Resource"]) or any("*" in a for a in rules._listed(statement["Action"]))
    }
    assert set(rules.WILDCARDS) <= used
