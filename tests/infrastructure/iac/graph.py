"""The resources a stack would create, recorded with the inputs sent to AWS."""

from __future__ import annotations

import asyncio
import json
import re
import runpy
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.runtime import mocks, stack
from pulumi.runtime.config import set_all_config

ROOT = Path(__file__).parents[3]
ACCOUNT = "111122223333"
OIDC_SECRET = "not-to-be-seen"


@dataclass
class Resource:
    """A resource: type without module path, logical name, inputs; `protect` is Pulumi's deletion protection."""

    type: str
    name: str
    inputs: dict[str, Any]
    provider: str
    protect: bool = False

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


@dataclass
class Graph:
    """Every resource of a stack, and its exports."""

    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> list[Resource]:
        """Return the resources of a type such as `aws:ec2:Vpc`."""
        return [resource for resource in self.resources if resource.type == kind]

    def one(self, kind: str, name: str) -> Resource:
        """Return the resource of this type and logical name."""
        (found,) = [resource for resource in self.of(kind) if resource.name == name]
        return found


class _Monitor(mocks.MockMonitor):
    """Also records Pulumi's deletion protection, which the mocks do not receive."""

    protected: set[tuple[str, str]]

    def RegisterResource(self, request: Any) -> Any:
        if request.protect:
            self.protected.add((_kind(request.type), request.name))
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]  # of Pulumi


def _kind(token: str) -> str:
    return re.sub(r"^aws:(\w+)/\w+:(\w+)$", r"aws:\1:\2", token)


class _Recorder(mocks.Mocks):
    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        kind = _kind(args.typ)
        self._graph.resources.append(Resource(kind, args.name, args.inputs, args.provider or ""))
        return f"{args.name}-id", {**args.inputs, **_computed(kind, args)}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        answers: dict[str, dict[str, Any]] = {
            "aws:index/getAvailabilityZones:getAvailabilityZones": {"names": [f"zone-{c}" for c in "abc"]},
            "aws:ssm/getParameter:getParameter": {"value": "ami-1"},
        }
        return answers[args.token], []


def _computed(kind: str, args: mocks.MockResourceArgs) -> dict[str, Any]:
    """Return the values AWS would add: an ARN, a name, an address."""
    added: dict[str, Any] = {"arn": f"arn:aws:mock:ap-south-1:{ACCOUNT}:{kind.split(':')[-1]}/{args.name}"}
    added["name"] = args.inputs.get("name", args.name)
    if kind == "aws:rds:Instance":
        added |= {"address": "db.internal", "masterUserSecrets": [{"secretArn": "arn:aws:secretsmanager:master"}]}
    if kind == "aws:eks:Cluster":
        added |= {"vpcConfig": {**args.inputs["vpcConfig"], "clusterSecurityGroupId": "sg-cluster"}}
    if kind.startswith("aws:lb:"):
        added |= {"arnSuffix": f"{args.name}/suffix", "dnsName": "lb.internal", "zoneId": "Z1"}
    if kind == "aws:ecr:Repository":
        added |= {"repositoryUrl": f"{ACCOUNT}.dkr.ecr/{added['name']}"}
    if kind == "aws:ec2:Instance":
        added |= {"availabilityZone": "zone-a"}
    if kind == "aws:ec2:LaunchTemplate":
        added |= {"latestVersion": 1}
    return added


def stack_files() -> dict[str, dict[str, Any]]:
    """Return the object `homeprices:stack` of every stack file, by stack name."""
    files = (ROOT / "iac").glob("Pulumi.*.yaml")
    return {
        file.name.split(".")[1]: yaml.safe_load(file.read_text())["config"]["homeprices:stack"]
        for file in sorted(files)
    }


def all_stacks() -> dict[str, dict[str, Any]]:
    """Return the stack files and two variants: one without NAT, one with a disposable cluster."""
    files = stack_files()
    offline = {**files["host"], "network": {"zones": 3, "nat": "none"}, "oidc": files["kubernetes"]["oidc"]}
    away = {
        **files["kubernetes"],
        "environment": "trial",
        "oidc": None,
        "github_repository": None,
        "hosted_zone_id": None,
    }
    cluster = {**away["kubernetes"], "api_cidrs": ["192.0.2.0/24"], "work": {"instance_types": ["c7i.large"]}}
    return {**files, "offline": offline, "throw-away": {**away, "kubernetes": cluster}}


def configure(values: dict[str, Any], **other: str) -> None:
    """Set the configuration of the next program."""
    config = {"homeprices:stack": json.dumps(values), **other}
    if values.get("oidc"):
        config["homeprices:oidcClientSecret"] = OIDC_SECRET
    set_all_config(config, ["homeprices:oidcClientSecret"])


def graph_of(values: dict[str, Any], name: str = "trial") -> Graph:
    """Run `iac/__main__.py` with a configuration. Once per process, because Pulumi keeps its event loop."""
    return graphs_of({name: values})[name]


def graphs_of(stacks: dict[str, dict[str, Any]]) -> dict[str, Graph]:
    """Return the graphs of several configurations from another process, whose memory and event loops end with it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.infrastructure.iac.graph"],
        input=json.dumps(stacks),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    made = json.loads(done.stdout)
    return {
        name: Graph([Resource(**resource) for resource in graph["resources"]], graph["outputs"])
        for name, graph in made.items()
    }


def _make(values: dict[str, Any], name: str) -> Graph:
    graph = Graph()
    recorder = _Recorder(graph)
    monitor = _Monitor(recorder)
    monitor.protected = set()
    mocks.set_mocks(recorder, project="homeprices", stack=name, preview=False, monitor=monitor)
    configure(values)

    def program() -> None:
        exported: dict[str, Any] = {}
        original = pulumi.export
        pulumi.export = exported.__setitem__  # type: ignore[assignment]  # it returns nothing that is used
        try:
            runpy.run_path(str(ROOT / "iac" / "__main__.py"))
        finally:
            pulumi.export = original
        pulumi.Output.from_input(exported).apply(graph.outputs.update)

    async def run() -> None:
        program()
        await stack.wait_for_rpcs()

    asyncio.get_event_loop().run_until_complete(run())
    for resource in graph.resources:
        resource.protect = (resource.type, resource.name) in monitor.protected
    return graph


if __name__ == "__main__":
    asyncio.set_event_loop(asyncio.new_event_loop())
    wanted = json.loads(sys.stdin.read())
    print(json.dumps({name: asdict(_make(values, name)) for name, values in wanted.items()}))
