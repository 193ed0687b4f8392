"""The ports of a stack, and the check that each is free."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import psutil

LOOPBACK = "127.0.0.1"
HIGHEST = 65_535
GRPC_OFFSET = 10_000  # above the port for HTTP, as SeaweedFS wants it by default

BASE = {
    "postgres": 5432,
    "s3": 8333,
    "seaweedfs-master": 9333,
    "seaweedfs-volume": 9340,
    "seaweedfs-filer": 8888,
    "mlflow": 5000,
    "airflow": 8080,
    "infer-prod": 6001,
    "infer-cand": 6002,
    "router": 7000,
    "router-metrics": 7001,
    "frontend": 6500,
    "exporter": 9109,
    "prometheus": 9090,
}
"""The port of each server at offset 0."""

HIGHEST_OFFSET = HIGHEST - max(BASE.values()) - GRPC_OFFSET


class PortsRefused(Exception):
    """An offset is not allowed, or ports are taken; the message names each port and its owner."""


@dataclass(frozen=True)
class Ports:
    """Every port of a stack, by purpose."""

    by_purpose: Mapping[str, int]

    @classmethod
    def moved_by(cls, offset: str) -> Ports:
        """Return the default ports, each higher by `offset`. Raises PortsRefused."""
        if not offset.isdecimal() or int(offset) > HIGHEST_OFFSET:
            raise PortsRefused(f"STACK_PORT_OFFSET is {offset!r}; allowed is a whole number from 0 to {HIGHEST_OFFSET}")
        return cls({purpose: port + int(offset) for purpose, port in BASE.items()})

    def __getitem__(self, purpose: str) -> int:
        return self.by_purpose[purpose]

    @property
    def every(self) -> dict[str, int]:
        """All ports, including those that SeaweedFS opens for gRPC."""
        own = asdict(self.seaweedfs)
        return {
            **self.by_purpose,
            **{f"seaweedfs {name}": port for name, port in own.items() if name.endswith("_grpc")},
        }

    @property
    def seaweedfs(self) -> SeaweedPorts:
        """The ports of the S3 server, including those for gRPC."""
        own = (self["s3"], self["seaweedfs-master"], self["seaweedfs-volume"], self["seaweedfs-filer"])
        return SeaweedPorts.beside(*own)


def check_free(ports: Mapping[str, int]) -> None:
    """Raise PortsRefused, which names every taken port and the process that listens on it."""
    taken = {purpose: port for purpose, port in ports.items() if not is_free(port)}
    if not taken:
        return
    lines = [f"  port {port} ({purpose}) is taken by {owner(port)}" for purpose, port in taken.items()]
    advice = "Stop it, or move the whole stack: STACK_PORT_OFFSET=100 make up"
    raise PortsRefused("\n".join(["Nothing was started:", *lines, advice]))


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        # Without this, connections in TIME_WAIT would count as taken. A listener counts either way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def owner(port: int) -> str:
    """Describe the process that listens on a port: program, id, user and working folder, as permissions allow."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
            return _describe(connection.pid)
    return "a process of another user"


def _describe(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return f"{process.name()} (process {pid} of {process.username()}, in {process.cwd()})"
    except psutil.Error:
        return f"process {pid}"


@dataclass(frozen=True)
class SeaweedPorts:
    """Every port that SeaweedFS opens. The volume server's own default, 8080, is Airflow's.

    `filer_grpc` must be `filer` + GRPC_OFFSET, because S3 looks for the filer there.
    """

    s3: int
    master: int
    volume: int
    filer: int
    s3_grpc: int
    master_grpc: int
    volume_grpc: int
    filer_grpc: int

    @classmethod
    def beside(cls, s3: int, master: int, volume: int, filer: int) -> SeaweedPorts:
        """Return the default layout: gRPC on each port plus 10,000."""
        http = (s3, master, volume, filer)
        return cls(*http, *(port + GRPC_OFFSET for port in http))
