"""The application services: two inference services, the router in front of them, and the web form."""

from __future__ import annotations

import signal
import sys

from homeprices.names import MODEL_PREFIX
from local import ports
from local.stack import ROOT, Stack
from local.supervision import probes
from local.supervision.service_spec import Command, RunCommand, ServiceSpec

WORKERS = "2"


def serving(stack: Stack) -> list[ServiceSpec]:
    """Return the step that migrates their database, and the four services."""
    return [
        _database(stack),
        _inference(stack, "infer-prod", MODEL_PREFIX["production"]),
        _inference(stack, "infer-cand", MODEL_PREFIX["candidate"]),
        _router(stack),
        _frontend(stack),
    ]


def _database(stack: Stack) -> ServiceSpec:
    env = stack.environment()

    def upgrade(job: RunCommand) -> None:
        job(Command((sys.executable, "-m", "homeprices", "database", "upgrade"), env=env, cwd=ROOT))

    return ServiceSpec(name="database", pre_start=upgrade, env=env, cwd=ROOT, depends_on=("postgres",))


def _inference(stack: Stack, name: str, prefix: str) -> ServiceSpec:
    port = stack.ports[name]
    return ServiceSpec(
        name=name,
        argv=(
            *(sys.executable, "-m", "gunicorn", "-c", "inference/backend/gunicorn.conf.py"),
            "inference.backend.inference_api:create_app()",
        ),
        # Liveness, not readiness to predict: before the first training there is no model to wait for.
        ready=probes.answers(f"{stack.url(name)}/api/health"),
        env=stack.environment(
            "inference",
            MODEL_PREFIX=prefix,
            HOMEPRICES_INSTANCE=name,
            HOMEPRICES_BIND=f"{ports.LOOPBACK}:{port}",
            PORT=str(port),
            WEB_CONCURRENCY=WORKERS,
        ),
        cwd=ROOT,
        ports={name: port},
        depends_on=("database", "bucket"),
    )


def _router(stack: Stack) -> ServiceSpec:
    return ServiceSpec(
        name="router",
        argv=(sys.executable, "-m", "router.agent"),
        ready=probes.answers(f"{stack.url('router')}/router/version"),
        env=stack.environment("router", **stack.airflow_service),
        cwd=ROOT,
        ports={"router": stack.ports["router"], "router-metrics": stack.ports["router-metrics"]},
        depends_on=("infer-prod", "infer-cand"),
    )


def _frontend(stack: Stack) -> ServiceSpec:
    return ServiceSpec(
        name="frontend",
        argv=(sys.executable, "-m", "router.frontend"),
        ready=probes.answers(f"{stack.url('frontend')}/"),
        env=stack.environment("router"),
        cwd=ROOT,
        ports={"frontend": stack.ports["frontend"]},
        depends_on=("router",),
        stop_signal=signal.SIGQUIT,  # Nginx's graceful shutdown: finish the current requests
    )
