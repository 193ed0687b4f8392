"""The tables of the homeprices database. `homeprices.migrations` creates them; a test compares the two.

Visitors and their networks appear as keyed hashes, and no address is stored. Times are UTC, prices (including the
`feedback_value` of an `actual_price`) lakh rupees, durations milliseconds.
"""

from __future__ import annotations

from typing import get_args

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import BIT, JSONB

from homeprices.names import VARIANTS
from homeprices.predictions.feedback import FeedbackType
from homeprices.predictions.sketches import SKETCH_BITS

ID_BLOCK = 1000
"""The number of ids that one call of the sequence reserves; `nextval` returns the first."""

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

prediction_id = Sequence(
    "prediction_id",
    metadata=metadata,
    data_type=BigInteger,
    start=1,
    increment=ID_BLOCK,
)


def one_of(column: str, values: tuple[str, ...]) -> str:
    """Return an SQL condition: the column has one of the values, or is null."""
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


FEEDBACK_TYPES: tuple[str, ...] = get_args(FeedbackType)

# `assigned_variant` is null for a request that did not pass the router. `network` and `returning_visitor` are null in
# rows from before these columns, and such rows count. One partition per month (`retention`). The primary key includes
# `ts` because a partitioned table requires it; ids alone are unique.
prediction_logs = Table(
    "prediction_logs",
    metadata,
    Column("id", BigInteger, autoincrement=False, nullable=False),
    Column("ts", DateTime(timezone=True), nullable=False),
    Column("request_id", Text, nullable=False),
    Column("visitor", Text),
    Column("assigned_variant", Text),
    Column("served_variant", Text, nullable=False),
    Column("fallback", Boolean, nullable=False, server_default=false()),
    Column("bundle", Text, nullable=False),
    Column("epoch", Integer),
    Column("inputs", JSONB, nullable=False),
    Column("estimate", Double, nullable=False),
    Column("interval_low", Double, nullable=False),
    Column("interval_high", Double, nullable=False),
    Column("milliseconds", Double, nullable=False),
    Column("network", Text),
    Column("returning_visitor", Boolean),
    PrimaryKeyConstraint("id", "ts"),
    CheckConstraint(one_of("assigned_variant", VARIANTS), name="assigned_variant"),
    CheckConstraint(one_of("served_variant", VARIANTS), name="served_variant"),
    Index(None, "ts"),
    Index(None, "bundle", "ts"),
    postgresql_partition_by="RANGE (ts)",
)

# No foreign key, because feedback may arrive before its prediction, from another process's spool. One row per visitor,
# prediction and type: later feedback replaces earlier. All requests without a visitor id count as one visitor, which
# bounds the rows per prediction. `served_variant` is null until the prediction is stored. The index on `ts` covers all
# columns that a summary reads.
user_feedback = Table(
    "user_feedback",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("prediction_id", BigInteger, nullable=False),
    Column("visitor", Text),
    Column("served_variant", Text),
    Column("verified", Boolean, nullable=False, server_default=false()),
    Column("feedback_type", Text, nullable=False),
    Column("feedback_value", Double),
    Column("feedback_text", Text),
    Column("ts", DateTime(timezone=True), nullable=False),
    Column("network", Text),
    Column("returning_visitor", Boolean),
    CheckConstraint(one_of("served_variant", VARIANTS), name="served_variant"),
    CheckConstraint(one_of("feedback_type", FEEDBACK_TYPES), name="feedback_type"),
    UniqueConstraint("prediction_id", "visitor", "feedback_type", postgresql_nulls_not_distinct=True),
    Index(None, "ts", postgresql_include=["served_variant", "feedback_type", "feedback_value", "verified"]),
    Index("user_feedback_unmatched_idx", "ts", postgresql_where=text("served_variant IS NULL")),
)

# The rollups that `/api/metrics` reads: per hour and per day (UTC), updated in the transaction that stores predictions.
# `visitors` is a distinct-count sketch, `bucket` a latency bucket (`sketches`).


def _traffic(unit: str) -> Table:
    return Table(
        f"traffic_{unit}s",
        metadata,
        Column(unit, DateTime(timezone=True), nullable=False),
        Column("variant", Text, nullable=False),
        Column("bundle", Text, nullable=False),
        Column("requests", BigInteger, nullable=False),
        Column("fallbacks", BigInteger, nullable=False),
        Column("estimate_sum", Double, nullable=False),
        Column("milliseconds_sum", Double, nullable=False),
        Column("visitors", BIT(SKETCH_BITS), nullable=False),
        PrimaryKeyConstraint(unit, "variant", "bundle"),
    )


def _latency(unit: str) -> Table:
    return Table(
        f"latency_{unit}s",
        metadata,
        Column(unit, DateTime(timezone=True), nullable=False),
        Column("variant", Text, nullable=False),
        Column("bucket", SmallInteger, nullable=False),
        Column("requests", BigInteger, nullable=False),
        PrimaryKeyConstraint(unit, "variant", "bucket"),
    )


traffic_hours, latency_hours = _traffic("hour"), _latency("hour")
traffic_days, latency_days = _traffic("day"), _latency("day")

# Append-only, enforced by triggers of the migration; only `result_version` may be set once. A replay recomputes a
# decision from `policy_document` and `evidence`, and must reproduce `statistics`.
ab_decisions = Table(
    "ab_decisions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("ts", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("key", Text, nullable=False, unique=True),
    Column("experiment", Text, nullable=False),
    Column("production", Text, nullable=False),
    Column("candidate", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("result_version", Text),
    Column("actor", Text, nullable=False),
    Column("policy_document", JSONB),
    Column("statistics", JSONB),
    Column("software", JSONB),
    Index(None, "experiment", "ts"),
)

drift_reports = Table(
    "drift_reports",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("ts", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("variant", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("window_start", DateTime(timezone=True), nullable=False),
    Column("window_end", DateTime(timezone=True), nullable=False),
    Column("data_points", Integer, nullable=False),
    Column("summary", JSONB, nullable=False),
    CheckConstraint(one_of("variant", VARIANTS), name="variant"),
    Index(None, "variant", "ts"),
)
