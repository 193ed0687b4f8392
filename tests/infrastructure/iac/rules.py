"""The rules of every stack: each yields a sentence per violating resource."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterator
from typing import Any

from iac.host.environment import ROLE_INSTEAD_OF_KEY
from tests.infrastructure.iac.graph import OIDC_SECRET, Graph, Resource

EVERYBODY = {"0.0.0.0/0", "::/0"}
TAGS = {"project", "environment", "managed-by"}
AUTO_NAME = 8  # Pulumi adds "-" and seven characters where a name is not given

RULE = "aws:vpc:SecurityGroup"
Rule = Callable[[Graph], Iterator[str]]

WILDCARDS: dict[tuple[str, str], str] = {
    ("images", "Login"): "ecr:GetAuthorizationToken knows no resource",
    ("release", "Login"): "ecr:GetAuthorizationToken knows no resource",
    ("release", "Hear"): "ssm:GetCommandInvocation knows no resource",
    ("snapshots", "See"): "ec2:Describe* know no resource",
    ("may", "See"): "Describe* of load balancing and ec2 know no resource",
    ("s3", "OwnBuckets"): "the endpoint only narrows what the caller's own policy allows, to this account",
}
"""Allowed wildcards: (last word of the policy's name, statement), and why."""


def open_to_the_world(graph: Graph) -> Iterator[str]:
    """Only port 443 of the load balancer is open to the internet."""
    balancer = graph.of("aws:lb:LoadBalancer")[0].name
    for rule in graph.of("aws:vpc:SecurityGroupIngressRule"):
        i = rule.inputs
        if {i.get("cidrIpv4"), i.get("cidrIpv6")} & EVERYBODY:
            door = (i["securityGroupId"], i["fromPort"], i["toPort"], i["ipProtocol"])
            if door != (f"{balancer}-id", 443, 443, "tcp"):
                yield f"{rule} lets everybody in at {door}"
        if i.get("fromPort") in {None, 22, 3389}:
            yield f"{rule} opens a login or every port"
    for group in [*graph.of("aws:ec2:SecurityGroup"), *graph.of("aws:ec2:DefaultSecurityGroup")]:
        if group.inputs.get("ingress") or group.inputs.get("egress"):
            yield f"{group} has inline rules, which these checks do not read"
    for subnet in graph.of("aws:ec2:Subnet"):
        if subnet.inputs.get("mapPublicIpOnLaunch"):
            yield f"{subnet} gives out public addresses"
    for instance in graph.of("aws:ec2:Instance"):
        if instance.inputs.get("associatePublicIpAddress") is not False or instance.inputs.get("keyName"):
            yield f"{instance} has a public address or a key to log in with"
    for database in graph.of("aws:rds:Instance"):
        if database.inputs.get("publiclyAccessible") is not False:
            yield f"{database} is public"
    for cluster in graph.of("aws:eks:Cluster"):
        vpc = cluster.inputs["vpcConfig"]
        given = vpc.get("publicAccessCidrs", [])
        if vpc.get("endpointPublicAccess") is not False and (
            not given or any(ipaddress.ip_network(cidr).prefixlen < 16 for cidr in given)
        ):
            yield f"{cluster} has an API that everybody can ask"
    for listener in graph.of("aws:lb:Listener"):
        if (listener.inputs["port"], listener.inputs["protocol"]) != (443, "HTTPS") or not listener.inputs.get(
            "sslPolicy", ""
        ).startswith("ELBSecurityPolicy-TLS13"):
            yield f"{listener} speaks something else than TLS 1.2 or 1.3 on 443"


def private_subnets(graph: Graph) -> Iterator[str]:
    """No workload is in a public subnet, and the database has no route out."""
    outside = {f"{s.name}-id" for s in graph.of("aws:ec2:Subnet") if "-public-" in s.name}
    for instance in graph.of("aws:ec2:Instance"):
        if instance.inputs["subnetId"] in outside:
            yield f"{instance} is in a public subnet"
    for kind, place in (("aws:eks:NodeGroup", "subnetIds"), ("aws:rds:SubnetGroup", "subnetIds")):
        for resource in graph.of(kind):
            if set(resource.inputs[place]) & outside:
                yield f"{resource} is in a public subnet"
    isolated = {f"{t.name}-id" for t in graph.of("aws:ec2:RouteTable") if t.name.endswith("isolated")}
    for route in graph.of("aws:ec2:Route"):
        if route.inputs["routeTableId"] in isolated:
            yield f"{route} leads out of the isolated subnets"
    for group in graph.of("aws:rds:SubnetGroup"):
        if not all("-isolated-" in subnet for subnet in group.inputs["subnetIds"]):
            yield f"{group} is not isolated"


def reached(graph: Graph) -> Iterator[str]:
    """Every allowed ingress between groups has its egress, and the database and the path of visitors have both."""
    out = {_way(rule.inputs, "securityGroupId", "referencedSecurityGroupId") for rule in graph.of(f"{RULE}EgressRule")}
    into = [rule for rule in graph.of(f"{RULE}IngressRule") if rule.inputs.get("referencedSecurityGroupId")]
    for rule in into:
        if _way(rule.inputs, "referencedSecurityGroupId", "securityGroupId") not in out:
            yield f"{rule} lets in whom nothing lets out"
    for port in (5432, 6500):
        if port not in {rule.inputs["fromPort"] for rule in into}:
            yield f"port {port} has no ingress"


def _way(rule: dict[str, Any], source: str, target: str) -> tuple[str, str | None, int]:
    return rule[source], rule.get(target), rule["fromPort"]


def buckets(graph: Graph) -> Iterator[str]:
    """Every bucket is private, versioned, encrypted, TLS only, and has lifecycle rules."""
    for bucket in graph.of("aws:s3:Bucket"):
        parts = {kind: _part(graph, kind, bucket) for kind in (
            "BucketVersioning", "BucketServerSideEncryptionConfiguration", "BucketPublicAccessBlock", "BucketPolicy",
            "BucketLifecycleConfiguration", "BucketOwnershipControls")}  # fmt: skip
        for kind, part in parts.items():
            if part is None:
                yield f"{bucket} has no {kind}"
        if None in parts.values():
            continue
        inputs = {kind: part.inputs for kind, part in parts.items() if part is not None}
        if inputs["BucketVersioning"]["versioningConfiguration"]["status"] != "Enabled":
            yield f"{bucket} is not versioned"
        rule = inputs["BucketServerSideEncryptionConfiguration"]["rules"][0]["applyServerSideEncryptionByDefault"]
        if rule["sseAlgorithm"] not in {"AES256", "aws:kms"}:
            yield f"{bucket} is not encrypted"
        switches = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        if not all(inputs["BucketPublicAccessBlock"].get(switch) for switch in switches):
            yield f"{bucket} can be made public"
        name = f"arn:aws:s3:::{bucket.inputs['bucket']}"
        if not any(_is_tls_only(s, name) for s in json.loads(inputs["BucketPolicy"]["policy"])["Statement"]):
            yield f"{bucket} answers without TLS"


def _part(graph: Graph, kind: str, bucket: Resource) -> Resource | None:
    return next((r for r in graph.of(f"aws:s3:{kind}") if r.inputs["bucket"] == f"{bucket.name}-id"), None)


def _is_tls_only(statement: dict[str, Any], bucket: str) -> bool:
    return (
        statement["Effect"] == "Deny"
        and statement["Principal"] == "*"
        and statement["Action"] == "s3:*"
        and set(statement["Resource"]) == {bucket, f"{bucket}/*"}
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    )


def encrypted_disks(graph: Graph) -> Iterator[str]:
    """All storage is encrypted."""
    for volume in graph.of("aws:ebs:Volume"):
        if volume.inputs.get("encrypted") is not True:
            yield f"{volume} is not encrypted"
    for instance in graph.of("aws:ec2:Instance"):
        if not instance.inputs.get("rootBlockDevice", {}).get("encrypted"):
            yield f"the root disk of {instance} is not encrypted"
    for template in graph.of("aws:ec2:LaunchTemplate"):
        if not all(d["ebs"].get("encrypted") == "true" for d in template.inputs["blockDeviceMappings"]):
            yield f"a disk of {template} is not encrypted"
    for database in graph.of("aws:rds:Instance"):
        if database.inputs.get("storageEncrypted") is not True:
            yield f"{database} is not encrypted"
    for cluster in graph.of("aws:eks:Cluster"):
        if "secrets" not in cluster.inputs.get("encryptionConfig", {}).get("resources", []):
            yield f"secrets of {cluster} are not encrypted"
    for topic in graph.of("aws:sns:Topic"):
        if not topic.inputs.get("kmsMasterKeyId"):
            yield f"{topic} is not encrypted"
    for repository in graph.of("aws:ecr:Repository"):
        if not repository.inputs.get("encryptionConfigurations"):
            yield f"{repository} is not encrypted"


def documents(graph: Graph) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """Yield every policy document with its resource."""
    for kind in ("aws:iam:RolePolicy", "aws:iam:Policy", "aws:ec2:VpcEndpoint", "aws:s3:BucketPolicy"):
        for resource in graph.of(kind):
            if resource.inputs.get("policy"):
                yield resource, json.loads(resource.inputs["policy"])


def wildcards(graph: Graph) -> Iterator[str]:
    """No action or resource is a wildcard, except those in WILDCARDS."""
    for resource, document in documents(graph):
        for statement in document["Statement"]:
            if statement["Effect"] == "Deny" or (resource.name.split("-")[-1], statement.get("Sid")) in WILDCARDS:
                continue
            actions, targets = (_listed(statement.get(word)) for word in ("Action", "Resource"))
            if not actions or not targets or statement.get("NotAction") or statement.get("NotResource"):
                yield f"{resource}: {statement.get('Sid')} says what it does not mean"
            if any("*" in action for action in actions):
                yield f"{resource}: {statement.get('Sid')} allows {actions}"
            if any(target == "*" or target.split(":", 5)[-1] in {"*", "*/*"} for target in targets):
                yield f"{resource}: {statement.get('Sid')} is about everything"
    for attachment in graph.of("aws:iam:RolePolicyAttachment"):
        name = attachment.inputs["policyArn"].rsplit("/", 1)[-1]
        if "Admin" in name or "FullAccess" in name or "PowerUser" in name:
            yield f"{attachment} gives {name}"


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def trusts(graph: Graph) -> Iterator[str]:
    """Only named services or one repository's protected environment can assume a role."""
    for role in graph.of("aws:iam:Role"):
        for statement in json.loads(role.inputs["assumeRolePolicy"])["Statement"]:
            principal = statement["Principal"]
            conditions = statement.get("Condition", {}).get("StringEquals", {})
            if principal == "*" or "AWS" in principal:
                yield f"{role} can be taken by {principal}"
            if "Federated" in principal:
                subject = conditions.get("token.actions.githubusercontent.com:sub", "")
                if "*" in subject or ":environment:" not in subject:
                    yield f"{role} can be assumed by jobs without approval: {subject!r}"
                if conditions.get("token.actions.githubusercontent.com:aud") != "sts.amazonaws.com":
                    yield f"{role} takes tokens that are meant for others"


def tags(graph: Graph) -> Iterator[str]:
    """One provider creates and tags everything; resources that AWS creates are tagged too."""
    (provider,) = graph.of("pulumi:providers:aws")
    given = provider.inputs["defaultTags"]
    given = json.loads(given) if isinstance(given, str) else given
    missing = TAGS - set(given["tags"])
    if missing:
        yield f"the provider does not tag {sorted(missing)}"
    for resource in graph.resources:
        if resource.type.startswith("aws:") and "::aws::" not in resource.provider:
            yield f"{resource} is created by another provider, without tags"
    for template in graph.of("aws:ec2:LaunchTemplate"):
        tagged = {s["resourceType"] for s in template.inputs.get("tagSpecifications", []) if set(s["tags"]) >= TAGS}
        if tagged < {"instance", "volume"}:
            yield f"{template} starts machines without tags"
    for instance in graph.of("aws:ec2:Instance"):
        if not set(instance.inputs["rootBlockDevice"].get("tags", {})) >= TAGS:
            yield f"the root disk of {instance} has no tags"
    for database in graph.of("aws:rds:Instance"):
        if not database.inputs.get("copyTagsToSnapshot"):
            yield f"snapshots of {database} have no tags"


LIMITS = {
    "aws:lb:LoadBalancer": 32, "aws:lb:TargetGroup": 32, "aws:iam:Role": 64, "aws:iam:InstanceProfile": 128,
    "aws:rds:Instance": 63, "aws:rds:SubnetGroup": 255, "aws:rds:ParameterGroup": 255, "aws:s3:Bucket": 63,
    "aws:ec2:SecurityGroup": 255, "aws:eks:Cluster": 100, "aws:eks:NodeGroup": 63, "aws:ec2:LaunchTemplate": 125,
    "aws:cloudwatch:LogGroup": 512, "aws:cloudwatch:MetricAlarm": 255, "aws:sns:Topic": 256, "aws:ecr:Repository": 256,
    "aws:secretsmanager:Secret": 512, "aws:budgets:Budget": 100,
}  # fmt: skip
"""Characters that AWS allows in a name."""


def names(graph: Graph) -> Iterator[str]:
    """Names fit AWS's limits, including Pulumi's suffix."""
    for resource in graph.resources:
        if resource.type in LIMITS:
            given = resource.inputs.get("name") or resource.inputs.get("identifier") or resource.inputs.get("bucket")
            length = len(given) if given else len(resource.name) + AUTO_NAME
            if length > LIMITS[resource.type]:
                yield f"{resource} has a name of {length} characters; {LIMITS[resource.type]} are allowed"


def metadata(graph: Graph) -> Iterator[str]:
    """Instance metadata requires tokens (IMDSv2) and is not reachable from pods."""
    for kind, hops in (("aws:ec2:Instance", 2), ("aws:ec2:LaunchTemplate", 1)):
        for resource in graph.of(kind):
            options = resource.inputs.get("metadataOptions", {})
            if options.get("httpTokens") != "required" or options.get("httpPutResponseHopLimit", 99) > hops:
                yield f"{resource} gives its role to whoever asks"


def images(graph: Graph) -> Iterator[str]:
    """Image tags are immutable, and pushed images are scanned."""
    for repository in graph.of("aws:ecr:Repository"):
        if repository.inputs.get("imageTagMutability") != "IMMUTABLE":
            yield f"{repository} lets a tag be moved"
        if not repository.inputs.get("imageScanningConfiguration", {}).get("scanOnPush"):
            yield f"{repository} does not scan"


def kept_logs(graph: Graph) -> Iterator[str]:
    """Logs have a stated retention, and access is logged."""
    for group in graph.of("aws:cloudwatch:LogGroup"):
        if not group.inputs.get("retentionInDays"):
            yield f"{group} is kept for ever"
    if not graph.of("aws:ec2:FlowLog"):
        yield "the network has no flow log"
    for balancer in graph.of("aws:lb:LoadBalancer"):
        if not balancer.inputs.get("accessLogs", {}).get("enabled"):
            yield f"{balancer} writes no access log"


def secrets_stay_secret(graph: Graph) -> Iterator[str]:
    """No password is an input, an output or part of a boot script."""
    for database in graph.of("aws:rds:Instance"):
        if "password" in database.inputs or database.inputs.get("manageMasterUserPassword") is not True:
            yield f"{database} has a password that Pulumi knows"
    if graph.of("aws:secretsmanager:SecretVersion"):
        yield "a secret's value is in Pulumi's state"
    if OIDC_SECRET in json.dumps(graph.outputs, default=str):
        yield "the identity provider's secret is an output"
    for instance in graph.of("aws:ec2:Instance"):
        script = instance.inputs["userData"].replace(f"='{ROLE_INSTEAD_OF_KEY}'", "")
        if any(word in script for word in (OIDC_SECRET, "PASSWORD='", "_KEY='", "_SECRET='")):
            yield f"the boot script of {instance} holds a secret"


def production_is_protected(graph: Graph) -> Iterator[str]:
    """Pulumi and AWS protect production data from accidental deletion."""
    switches = {
        "aws:rds:Instance": "deletionProtection",
        "aws:lb:LoadBalancer": "enableDeletionProtection",
        "aws:eks:Cluster": "deletionProtection",
        "aws:ec2:Instance": "disableApiTermination",
    }
    for kind, name in switches.items():
        for resource in graph.of(kind):
            if resource.inputs.get(name) is not True:
                yield f"{resource} can be deleted with one call"
    for database in graph.of("aws:rds:Instance"):
        if database.inputs.get("skipFinalSnapshot") is not False or not database.inputs.get("finalSnapshotIdentifier"):
            yield f"{database} goes without a last snapshot"
        if database.inputs.get("backupRetentionPeriod", 0) < 7:
            yield f"{database} keeps backups for less than a week"
    for bucket in graph.of("aws:s3:Bucket"):
        if bucket.inputs.get("forceDestroy") is not False:
            yield f"{bucket} is emptied when it is removed"
    for kind in ("aws:rds:Instance", "aws:s3:Bucket", "aws:ebs:Volume", "aws:secretsmanager:Secret", "aws:eks:Cluster"):
        for resource in graph.of(kind):
            if not resource.protect:
                yield f"{resource} is not protected from pulumi destroy"


def watched(graph: Graph) -> Iterator[str]:
    """Every alarm has an action, and a budget exists."""
    if not graph.of("aws:cloudwatch:MetricAlarm"):
        yield "nothing is watched"
    for alarm in graph.of("aws:cloudwatch:MetricAlarm"):
        if not alarm.inputs.get("alarmActions"):
            yield f"{alarm} has no action"
    if not graph.of("aws:budgets:Budget"):
        yield "there is no budget"


RULES: tuple[Rule, ...] = (
    open_to_the_world, private_subnets, reached, buckets, encrypted_disks, wildcards, trusts, tags, names, metadata,
    images, kept_logs, secrets_stay_secret, watched,
)  # fmt: skip
PRODUCTION_RULES: tuple[Rule, ...] = (production_is_protected,)
