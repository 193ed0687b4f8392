"""gunicorn's settings for the service. Each worker opens its own connections, threads and model after the fork."""

import logging
import os
import shutil
import sys
from typing import Any

sys.modules.setdefault("rich", None)  # type: ignore[arg-type] # structlog would load it for colours: 10 MB a worker

from gunicorn.glogging import Logger  # type: ignore[import-untyped] # noqa: E402

from homeprices.errors import SettingsError  # noqa: E402
from homeprices.log import configure_logging, get_logger  # noqa: E402
from homeprices.settings import load_settings  # noqa: E402
from inference.backend.runtime.process import limit_allocator  # noqa: E402

limit_allocator()
_settings = load_settings()
try:
    _settings.check_visitor_key()
except SettingsError as error:
    sys.exit(f"gunicorn: {error}")
_metrics_folder = _settings.instance_dir.resolve() / "metrics"
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_metrics_folder)  # read when prometheus_client is first imported
configure_logging(_settings, _settings.instance)

bind = _settings.serving_address
workers = _settings.workers
worker_class = "gthread"  # health and metrics respond while a prediction is computed
threads = _settings.threads
timeout = 30
graceful_timeout = 20
keepalive = 75  # longer than the router keeps an idle connection, so that the router closes first
backlog = 1024
preload_app = False
max_requests = 0  # no recycling of workers: it would close connections that the router holds
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - heartbeats never touch a disk
control_socket_disable = True
forwarded_allow_ips = ""
limit_request_line = 8190  # the router's limit, above which it answers 414
limit_request_fields = 64
limit_request_field_size = 8190
proc_name = _settings.instance


class ProjectLogger(Logger):  # type: ignore[misc]
    """Send gunicorn's messages to the project's log. Requests are in the router's access log."""

    def setup(self, cfg: Any) -> None:  # noqa: ARG002
        """Propagate everything to the root logger."""
        for logger in (self.error_log, self.access_log):
            logger.handlers = []
            logger.propagate = True
        self.error_log.setLevel(logging.INFO)
        self.access_log.disabled = True


logger_class = ProjectLogger


def on_starting(_server: Any) -> None:
    """Remove the metric files of an earlier run, which would be added up for ever."""
    shutil.rmtree(_metrics_folder, ignore_errors=True)
    _metrics_folder.mkdir(parents=True, exist_ok=True)


def post_fork(_server: Any, _worker: Any) -> None:
    """Finish a killed merge of metric files before this process opens its own."""
    from inference.backend.runtime.metric_files import finish_merge

    finish_merge(_metrics_folder)


def child_exit(_server: Any, worker: Any) -> None:
    """Remove the gauges of a worker that has exited, and merge its counters with those of earlier ones."""
    from inference.backend.runtime.metric_files import merge_dead

    try:
        merge_dead(_metrics_folder, worker.pid)
    except Exception as error:  # an exception here would end gunicorn; unmerged files count as well
        get_logger(__name__).error("metric_files_not_merged", error=f"{type(error).__name__}: {error}")


def worker_exit(_server: Any, worker: Any) -> None:
    """Close the worker's state: drain what can be drained at once, and unregister."""
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.extensions["homeprices"].close()
