"""Serve the web form by Nginx, in the foreground, at HOMEPRICES_FRONTEND_PORT: `python -m router.frontend`.

The program renders the configuration into `frontend/` of HOMEPRICES_STATE_DIR and replaces itself by Nginx: SIGQUIT
stops it gracefully, SIGTERM at once. It is ready when GET / answers 200.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from homeprices.errors import HomePricesError
from homeprices.files import write_atomic
from homeprices.log import configure_logging, get_logger
from homeprices.settings import Settings, load_settings
from router.nginx import Nginx, find_program
from router.render import fill_template, server_names
from router.site_config import address, worker_user

STATIC = Path(__file__).resolve().parent.parent / "inference" / "frontend"
log = get_logger("frontend")


def render_frontend(settings: Settings, folder: Path, static: Path = STATIC) -> str:
    """Return the text of the frontend's nginx.conf."""
    router = urlsplit(settings.router_url)
    user = worker_user()
    values = {
        "folder": str(folder),
        "user": f"user {user};\n" if user else "",
        "listen": address(settings.frontend_host, settings.frontend_port),
        "real_ip": "\n".join(f"    set_real_ip_from {network};" for network in settings.networks),
        "router_servers": f"        server {address(router.hostname or '127.0.0.1', router.port or 80)};",
        "static": str(static),
        "hosts": server_names(settings.hosts),
    }
    return fill_template((static / "nginx.conf.template").read_text(encoding="utf-8"), values)


def prepare(settings: Settings) -> Nginx:
    """Write the configuration and have Nginx test it. Raises ConfigurationRefused."""
    folder = settings.state_dir.resolve() / "frontend"
    nginx = Nginx(find_program(settings.nginx), folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(nginx.configuration, render_frontend(settings, folder))
    nginx.test(nginx.configuration)
    return nginx


def main() -> int:
    """Become Nginx. Return 1 if it cannot be started."""
    settings = load_settings()
    configure_logging(settings, "frontend")
    try:
        nginx = prepare(settings)
        os.execv(nginx.program, nginx.foreground())  # noqa: S606 - it becomes Nginx
    except (HomePricesError, OSError) as error:
        log.error("frontend_start_failed", error=str(error))
    return 1


if __name__ == "__main__":
    sys.exit(main())
