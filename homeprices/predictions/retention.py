"""Retention: creates the monthly partitions of `prediction_logs` in advance, and drops those that are too old.

Dropping a partition is cheap and leaves no dead rows. The drain calls this once an hour; an advisory lock lets only one
process do the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, text

from homeprices.adapters.database import transaction

PARTITION_PREFIX = "prediction_logs_"
REST = PARTITION_PREFIX + "rest"
"""The default partition: it takes rows of months without a partition, so that no row is rejected for its time."""

MONTHS_AHEAD = 2  # this month and the next
UNMATCHED_DAYS = 7
"""How long feedback waits for its prediction, which may lie in the spool of an instance without PostgreSQL."""

DELETED_AT_ONCE = 5000
LOCK_TIMEOUT = "2s"
"""A statement that waits for the log's lock blocks all later ones, so it gives up and retries after an hour."""

_RETENTION_LOCK = 7_311_003
_ONE_AT_A_TIME = text("SELECT pg_try_advisory_xact_lock(:key)")
# The database's clock, so that a process with a wrong clock cannot drop the log.
_THIS_MONTH = text("SELECT date_trunc('month', now() AT TIME ZONE 'UTC')")
_PARTITIONS = text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'prediction_logs'::regclass")
_COUNTS = {"traffic_hours": "hour", "latency_hours": "hour", "traffic_days": "day", "latency_days": "day"}
_DELETE_OLD = {
    table: text(
        f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE {column} < :before LIMIT :most))"  # noqa: S608 - names from here
    )
    for table, column in {REST: "ts", "user_feedback": "ts", **_COUNTS}.items()
}
_DELETE_UNMATCHED = text(
    """
    DELETE FROM user_feedback WHERE id = ANY(ARRAY(
        SELECT id FROM user_feedback
        WHERE served_variant IS NULL AND ts < now() - make_interval(days => :days) LIMIT :most))
    """
)


@dataclass(frozen=True)
class RetentionReport:
    """The result of one pass. `unmatched`: number of deleted feedback rows whose prediction never came."""

    made: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    unmatched: int = 0


def enforce_retention(engine: Engine, months: int) -> RetentionReport:
    """Create the partitions of this month and the next; delete data older than `months` whole months.

    Does nothing while another process runs it. Raises DatabaseUnavailable, also when the log is locked.
    """
    with transaction(engine) as connection:
        if not connection.execute(_ONE_AT_A_TIME, {"key": _RETENTION_LOCK}).scalar_one():
            return RetentionReport()
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        this_month = connection.execute(_THIS_MONTH).scalar_one().replace(tzinfo=UTC)
        oldest = _later(this_month, -months)
        for statement in _DELETE_OLD.values():
            connection.execute(statement, {"before": oldest, "most": DELETED_AT_ONCE})
        unmatched = connection.execute(_DELETE_UNMATCHED, {"days": UNMATCHED_DAYS, "most": DELETED_AT_ONCE}).rowcount
        partitions = set(connection.execute(_PARTITIONS).scalars())
        wanted = [_later(this_month, ahead) for ahead in range(MONTHS_AHEAD)]
        made = [month for month in wanted if partition_of(month) not in partitions]
        for month in made:
            make_partition(connection, month)
        dropped = sorted(name for name in partitions if _is_before(name, oldest))
        for name in dropped:
            connection.execute(text(f"DROP TABLE {name}"))
        return RetentionReport(tuple(map(partition_of, made)), tuple(dropped), unmatched)


def make_partition(connection: Connection, month: datetime) -> None:
    """Create the partition of a month, with the month's rows of the default partition.

    It is created as a separate table and then attached, so that the log stays readable and writable meanwhile.
    """
    name = partition_of(month)
    bounds = {"since": month, "until": _later(month, 1)}
    connection.execute(text(f"CREATE TABLE {name} (LIKE prediction_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
    moved = f"WITH moved AS (DELETE FROM {REST} WHERE ts >= :since AND ts < :until RETURNING *) "  # noqa: S608 - names from here
    connection.execute(text(f"{moved} INSERT INTO {name} SELECT * FROM moved"), bounds)  # noqa: S608 - names from here
    attach = f"ALTER TABLE prediction_logs ATTACH PARTITION {name} FOR VALUES FROM ('{{}}') TO ('{{}}')"
    connection.execute(text(attach.format(bounds["since"].isoformat(" "), bounds["until"].isoformat(" "))))


def partition_of(month: datetime) -> str:
    """Return the name of a month's partition."""
    return f"{PARTITION_PREFIX}{month:%Y_%m}"


def _is_before(name: str, oldest: datetime) -> bool:
    return name != REST and name < partition_of(oldest)


def _later(month: datetime, months: int) -> datetime:
    """Return the start of the month that is `months` later, UTC."""
    count = month.year * 12 + month.month - 1 + months
    return datetime(max(1, count // 12), count % 12 + 1, 1, tzinfo=UTC)
