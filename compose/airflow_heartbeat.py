"""Health check: whether the Airflow process of this container has a fresh heartbeat in Airflow's database.

`airflow jobs check` does the same but imports all of Airflow, which takes three seconds of a core at every check.
"""

import os
import socket
import sys

import psycopg2

FRESH_SECONDS = 45
TIMEOUT_SECONDS = 5
QUERY = """
    select count(*) from job
    where hostname = %s and state = 'running' and latest_heartbeat > now() - make_interval(secs => %s)
"""


def main() -> int:
    """Return 0, or 1 with the reason on standard error."""
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    try:
        connection = psycopg2.connect(url, connect_timeout=TIMEOUT_SECONDS, application_name="heartbeat")
        with connection.cursor() as cursor:
            cursor.execute(QUERY, (socket.getfqdn(), FRESH_SECONDS))
            row = cursor.fetchone()
            fresh = bool(row and row[0])
        connection.close()
    except psycopg2.Error as error:
        print(f"Airflow's database: {error}", file=sys.stderr)
        return 1
    if not fresh:
        print(f"no heartbeat of {socket.getfqdn()} within {FRESH_SECONDS} s", file=sys.stderr)
    return 0 if fresh else 1


if __name__ == "__main__":
    sys.exit(main())
