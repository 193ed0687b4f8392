"""The VPC: public subnets for the load balancer, private ones for the workloads, isolated ones for the database."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from operator import itemgetter

import pulumi
import pulumi_aws as aws

from iac import policies
from iac.config import SUBNET_BITS, NetworkConfig
from iac.stack_names import StackNames

KINDS = ("public", "private", "isolated")
SERVICES_WITHOUT_NAT = ("ssm", "ssmmessages", "ecr.api", "ecr.dkr", "logs", "secretsmanager", "sts", "ec2", "eks",
                        "eks-auth", "elasticloadbalancing")  # fmt: skip


@dataclass(frozen=True)
class NetworkArgs:
    """The configuration of the network."""

    names: StackNames
    config: NetworkConfig


def subnet_cidr(network: str, kind: str, zone: int) -> str:
    """Return the `zone`-th subnet of a kind. Kinds are four subnets apart, so that a third zone moves no subnet."""
    blocks = list(ipaddress.ip_network(network).subnets(prefixlen_diff=SUBNET_BITS))
    return str(blocks[KINDS.index(kind) * 4 + zone])


class Network(pulumi.ComponentResource):
    """VPC, subnets by kind, routes, S3 endpoint, flow logs."""

    vpc_id: pulumi.Output[str]
    public: list[pulumi.Output[str]]
    private: list[pulumi.Output[str]]
    isolated: list[pulumi.Output[str]]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homeprices:aws:Network", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        self._zones = aws.get_availability_zones_output(
            state="available", opts=pulumi.InvokeOutputOptions(parent=self)
        ).names
        self._vpc = aws.ec2.Vpc(
            name,
            cidr_block=args.config.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags={"Name": name},
            opts=self._child,
        )
        self.vpc_id = self._vpc.id
        # AWS's default security group lets its members connect to each other; remove its rules.
        aws.ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=self.vpc_id, ingress=[], egress=[], opts=self._child)
        self.public = self._subnets("public")
        self.private = self._subnets("private")
        self.isolated = self._subnets("isolated")
        tables = self._routes()
        self._endpoints(tables)
        self._flow_logs()
        self.register_outputs({"vpc_id": self.vpc_id, "private": self.private})

    def _subnets(self, kind: str) -> list[pulumi.Output[str]]:
        return [
            aws.ec2.Subnet(
                f"{self._name}-{kind}-{zone}",
                vpc_id=self.vpc_id,
                cidr_block=subnet_cidr(self._args.config.cidr, kind, zone),
                availability_zone=self._zones.apply(itemgetter(zone)),
                map_public_ip_on_launch=False,
                tags={"Name": f"{self._name}-{kind}-{zone}"},
                opts=self._child,
            ).id
            for zone in range(self._args.config.zones)
        ]

    def _routes(self) -> list[pulumi.Output[str]]:
        """Create the routes: public subnets to the internet, private ones to a NAT if there is one, isolated none."""
        name, config = self._name, self._args.config
        gateway = aws.ec2.InternetGateway(name, vpc_id=self.vpc_id, tags={"Name": name}, opts=self._child)
        out = self._table("public", {"gateway_id": gateway.id})
        for zone, subnet in enumerate(self.public):
            self._join("public", zone, subnet, out)
        gateways = {"none": 0, "one": 1, "each_zone": config.zones}[config.nat]
        nats = [self._nat(zone, gateway) for zone in range(gateways)]
        tables = [self._table(f"private-{zone}", {"nat_gateway_id": nat}) for zone, nat in enumerate(nats)]
        tables = tables or [self._table("private-0", None)]
        for zone, subnet in enumerate(self.private):
            self._join("private", zone, subnet, tables[zone % len(tables)])
        nowhere = self._table("isolated", None)
        for zone, subnet in enumerate(self.isolated):
            self._join("isolated", zone, subnet, nowhere)
        return tables

    def _nat(self, zone: int, gateway: aws.ec2.InternetGateway) -> pulumi.Output[str]:
        name = f"{self._name}-nat-{zone}"
        address = aws.ec2.Eip(name, domain="vpc", tags={"Name": name}, opts=self._child)
        options = pulumi.ResourceOptions(parent=self, depends_on=[gateway])
        return aws.ec2.NatGateway(
            name, allocation_id=address.id, subnet_id=self.public[zone], tags={"Name": name}, opts=options
        ).id

    def _table(self, kind: str, way_out: dict[str, pulumi.Output[str]] | None) -> pulumi.Output[str]:
        name = f"{self._name}-{kind}"
        table = aws.ec2.RouteTable(name, vpc_id=self.vpc_id, tags={"Name": name}, opts=self._child)
        if way_out:
            aws.ec2.Route(
                name, route_table_id=table.id, destination_cidr_block="0.0.0.0/0", **way_out, opts=self._child
            )
        return table.id

    def _join(self, kind: str, zone: int, subnet: pulumi.Output[str], table: pulumi.Output[str]) -> None:
        name = f"{self._name}-{kind}-{zone}"
        aws.ec2.RouteTableAssociation(name, subnet_id=subnet, route_table_id=table, opts=self._child)

    def _endpoints(self, tables: list[pulumi.Output[str]]) -> None:
        """Create the endpoint of S3, which avoids the NAT's price; without a NAT, also those of other AWS services."""
        names = self._args.names
        aws.ec2.VpcEndpoint(
            f"{self._name}-s3",
            vpc_id=self.vpc_id,
            service_name=f"com.amazonaws.{names.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=tables,
            policy=pulumi.Output.json_dumps(policies.through_endpoint(names)),
            opts=self._child,
        )
        if self._args.config.nat != "none":
            return
        group = aws.ec2.SecurityGroup(
            f"{self._name}-endpoints", vpc_id=self.vpc_id, description="AWS services, from inside", opts=self._child
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-endpoints",
            security_group_id=group.id,
            cidr_ipv4=self._args.config.cidr,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            description="from the network itself",
            opts=self._child,
        )
        for service in SERVICES_WITHOUT_NAT:
            aws.ec2.VpcEndpoint(
                f"{self._name}-{service}",
                vpc_id=self.vpc_id,
                service_name=f"com.amazonaws.{names.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=self.private,
                security_group_ids=[group.id],
                opts=self._child,
            )

    def _flow_logs(self) -> None:
        name = f"{self._name}-flow"
        group = aws.cloudwatch.LogGroup(name, retention_in_days=self._args.config.flow_log_days, opts=self._child)
        role = aws.iam.Role(
            name,
            assume_role_policy=pulumi.Output.json_dumps(
                policies.trust_service("vpc-flow-logs.amazonaws.com", self._args.names)
            ),
            opts=self._child,
        )
        aws.iam.RolePolicy(
            name, role=role.id, policy=pulumi.Output.json_dumps(policies.write_logs(group.arn)), opts=self._child
        )
        aws.ec2.FlowLog(
            name,
            vpc_id=self.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            opts=self._child,
        )
