"""The months of `prediction_logs`: each made before it is needed, and dropped when it is older than what is kept.

A month is dropped as a whole, which costs nothing and leaves no dead rows. The drain calls this once an hour; of
several processes one does the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, text

from homeprices.adapters.database import transaction

PARTITION_PREFIX = "prediction_logs_"
REST = PARTITION_PREFIX + "rest"
"""Takes what belongs to no month that was made: a row is never refused for its time."""

MONTHS_AHEAD = 2  # this month and the next: more than an hour of both is left whenever this runs
UNMATCHED_DAYS = 7
"""How long a remark waits for its estimate, which may lie in the spool of an instance that cannot reach PostgreSQL."""

DELETED_AT_ONCE = 5000
LOCK_TIMEOUT = "2s"
"""Who waits for the log's lock holds up all who come later: better to try again an hour later."""

_RETENTION_LOCK = 7_311_003
_ONE_AT_A_TIME = text("SELECT pg_try_advisory_xact_lock(:key)")
# The database's clock, which all processes share: one whose own clock is wrong must not drop the log.
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
    """What one pass has done. `unmatched`: remarks on estimates that never came, which were dropped."""

    made: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    unmatched: int = 0


def enforce_retention(engine: Engine, months: int) -> RetentionReport:
    """Make the partitions of this month and the next; drop what is older than `months` whole months.

    Does nothing while another process is at it. Raises DatabaseUnavailable, also when somebody holds the log locked.
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
    """The partition of a month, with what lay in the rest until now.

    It is made beside the log and then attached, which lets others read and write the log meanwhile.
    """
    name = partition_of(month)
    bounds = {"since": month, "until": _later(month, 1)}
    connection.execute(text(f"CREATE TABLE {name} (LIKE prediction_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
    moved = f"WITH moved AS (DELETE FROM {REST} WHERE ts >= :since AND ts < :until RETURNING *) "  # noqa: S608 - names from here
    connection.execute(text(f"{moved} INSERT INTO {name} SELECT * FROM moved"), bounds)  # noqa: S608 - names from here
    attach = f"ALTER TABLE prediction_logs ATTACH PARTITION {name} FOR VALUES FROM ('{{}}') TO ('{{}}')"
    connection.execute(text(attach.format(bounds["since"].isoformat(" "), bounds["until"].isoformat(" "))))


def partition_of(month: datetime) -> str:
    """The name of a month's partition."""
    return f"{PARTITION_PREFIX}{month:%Y_%m}"


def _is_before(name: str, oldest: datetime) -> bool:
    return name != REST and name < partition_of(oldest)


def _later(month: datetime, months: int) -> datetime:
    """The first moment of the month so many months later, UTC."""
    count = month.year * 12 + month.month - 1 + months
    return datetime(max(1, count // 12), count % 12 + 1, 1, tzinfo=UTC)
