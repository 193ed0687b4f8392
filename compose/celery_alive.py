"""Health check: whether the Celery worker of this container answers a ping through the broker.

`celery --app ... inspect ping` does the same but imports all of Airflow, which takes seconds of a core at every check.
"""

import os
import socket
import sys

from celery import Celery
from kombu.exceptions import OperationalError

TIMEOUT_SECONDS = 10


def main() -> int:
    """Return 0, or 1 with the reason on standard error."""
    broker = f"redis://:{os.environ['REDIS_PASSWORD']}@redis:6379/0"
    worker = f"celery@{socket.gethostname()}"
    app = Celery(broker=broker)
    app.conf.broker_connection_retry_on_startup = False
    try:
        replies = app.control.inspect(destination=[worker], timeout=TIMEOUT_SECONDS).ping()
    except (OperationalError, OSError) as error:
        print(f"broker: {error}", file=sys.stderr)
        return 1
    if not replies:
        print(f"{worker} has not answered within {TIMEOUT_SECONDS} s", file=sys.stderr)
    return 0 if replies else 1


if __name__ == "__main__":
    sys.exit(main())
