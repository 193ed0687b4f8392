"""The load balancer, the only public entry point: TLS on 443. Visitors reach the web form, which proxies the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

from iac.config import OidcConfig, StackConfig

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
IDLE_SECONDS = 60
DRAIN_SECONDS = 30
SESSION_SECONDS = 8 * 3600


@dataclass(frozen=True)
class Door:
    """A target of the load balancer: its port, and the path of its health check."""

    name: str
    port: int
    health: str
    codes: str = "200"


VISITORS = Door("frontend", 6500, "/")
INTERFACES = (
    Door("airflow", 8080, "/api/v2/version"),
    Door("mlflow", 5000, "/health"),
    Door("grafana", 3000, "/api/health"),
)
"""UIs under NAME.DOMAIN for users that the identity provider has signed in. Without a provider they are not public."""


@dataclass(frozen=True)
class BalancerArgs:
    """The network of the load balancer, and the type of its targets: instances, or addresses of pods."""

    config: StackConfig
    vpc_id: pulumi.Output[str]
    subnet_ids: list[pulumi.Output[str]]
    access_log_bucket: pulumi.Output[str]
    targets: Literal["instance", "ip"]
    oidc_secret: pulumi.Output[str] | None


class Balancer(pulumi.ComponentResource):
    """The ALB, its security group and listener, and a target group for each door."""

    arn_suffix: pulumi.Output[str]
    dns_name: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    target_groups: dict[str, aws.lb.TargetGroup]

    def __init__(self, name: str, args: BalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homeprices:aws:Balancer", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        config = args.config
        group = aws.ec2.SecurityGroup(name, vpc_id=args.vpc_id, description="visitors, over TLS", opts=self._child)
        self.security_group_id = group.id
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-visitors",
            security_group_id=group.id,
            cidr_ipv4="0.0.0.0/0",
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            description="everybody, TLS",
            opts=self._child,
        )
        balancer = aws.lb.LoadBalancer(
            name,
            load_balancer_type="application",
            internal=False,
            security_groups=[group.id],
            subnets=args.subnet_ids,
            drop_invalid_header_fields=True,
            desync_mitigation_mode="strictest",
            enable_deletion_protection=config.is_production,
            idle_timeout=IDLE_SECONDS,
            access_logs={"bucket": args.access_log_bucket, "prefix": "load-balancer", "enabled": True},
            tags={"Name": name},
            opts=self._child,
        )
        self.arn_suffix, self.dns_name = balancer.arn_suffix, balancer.dns_name
        self.target_groups = {door.name: self._targets(door) for door in (VISITORS, *self._interfaces())}
        listener = aws.lb.Listener(
            name,
            load_balancer_arn=balancer.arn,
            port=443,
            protocol="HTTPS",
            ssl_policy=TLS_POLICY,
            certificate_arn=config.certificate_arn,
            default_actions=[{"type": "forward", "target_group_arn": self.target_groups[VISITORS.name].arn}],
            opts=self._child,
        )
        if config.oidc and args.oidc_secret is not None:
            for priority, door in enumerate(INTERFACES, start=1):
                self._signed_in(listener, priority, door, config.oidc, args.oidc_secret)
            self._egress("identity-provider", cidr_ipv4="0.0.0.0/0", port=443)
        if config.hosted_zone_id:
            hosts = [config.domain, *(f"{door.name}.{config.domain}" for door in self._interfaces())]
            for host in hosts:
                self._record(host, balancer)
        self.register_outputs({"dns_name": self.dns_name})

    def _interfaces(self) -> tuple[Door, ...]:
        return INTERFACES if self._args.config.oidc else ()

    def _targets(self, door: Door) -> aws.lb.TargetGroup:
        return aws.lb.TargetGroup(
            f"{self._name}-{door.name}",
            name=f"{self._name}-{door.name}",  # at most 32 characters, so Pulumi's random suffix would not fit
            port=door.port,
            protocol="HTTP",
            vpc_id=self._args.vpc_id,
            target_type=self._args.targets,
            deregistration_delay=DRAIN_SECONDS,
            health_check={
                "path": door.health,
                "matcher": door.codes,
                "interval": 10,
                "timeout": 5,
                "healthy_threshold": 2,
                "unhealthy_threshold": 3,
            },
            tags={"Name": f"{self._name}-{door.name}"},
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )

    def _signed_in(
        self, listener: aws.lb.Listener, priority: int, door: Door, oidc: OidcConfig, secret: pulumi.Output[str]
    ) -> None:
        sign_in: dict[str, Any] = {
            **oidc.model_dump(),
            "client_secret": secret,
            "session_timeout": SESSION_SECONDS,
            "on_unauthenticated_request": "authenticate",
        }
        actions: list[Any] = [
            {"type": "authenticate-oidc", "order": 1, "authenticate_oidc": sign_in},
            {"type": "forward", "order": 2, "target_group_arn": self.target_groups[door.name].arn},
        ]
        aws.lb.ListenerRule(
            f"{self._name}-{door.name}",
            listener_arn=listener.arn,
            priority=priority,
            conditions=[{"host_header": {"values": [f"{door.name}.{self._args.config.domain}"]}}],
            actions=actions,
            opts=self._child,
        )

    def _record(self, host: str, balancer: aws.lb.LoadBalancer) -> None:
        aws.route53.Record(
            f"{self._name}-{host}",
            zone_id=self._args.config.hosted_zone_id,
            name=host,
            type="A",
            aliases=[{"name": balancer.dns_name, "zone_id": balancer.zone_id, "evaluate_target_health": True}],
            opts=self._child,
        )

    def _egress(self, what: str, *, port: int, **whom: Any) -> None:
        aws.vpc.SecurityGroupEgressRule(
            f"{self._name}-to-{what}",
            security_group_id=self.security_group_id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=f"to {what}",
            opts=self._child,
            **whom,
        )

    def reach(self, what: str, security_group_id: pulumi.Output[str]) -> None:
        """Allow the load balancer to connect to the members of a security group, at the doors' ports only."""
        for door in (VISITORS, *self._interfaces()):
            self._egress(f"{what}-{door.name}", port=door.port, referenced_security_group_id=security_group_id)
            aws.vpc.SecurityGroupIngressRule(
                f"{self._name}-{what}-{door.name}",
                security_group_id=security_group_id,
                referenced_security_group_id=self.security_group_id,
                ip_protocol="tcp",
                from_port=door.port,
                to_port=door.port,
                description=f"{door.name}, from the load balancer",
                opts=self._child,
            )
