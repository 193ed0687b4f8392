"""The tables of the homeprices database. `homeprices.migrations` creates them; a test compares the two.

Visitors appear as keyed hashes only, and no address is stored anywhere. Times are UTC, prices
(the `feedback_value` of an `actual_price` too) lakh rupees, durations milliseconds.
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
"""Ids that one call of the sequence reserves: `nextval` is the first of them."""

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
    """An SQL condition that holds when the column has one of the values, or none."""
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


FEEDBACK_TYPES: tuple[str, ...] = get_args(FeedbackType)

# No arm was assigned (`assigned_variant` is null) when a service was asked directly, past the router. A partition a
# month (`retention` makes and drops them); the key names `ts` because a partitioned table's must: ids are unique alone.
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
    PrimaryKeyConstraint("id", "ts"),
    CheckConstraint(one_of("assigned_variant", VARIANTS), name="assigned_variant"),
    CheckConstraint(one_of("served_variant", VARIANTS), name="served_variant"),
    Index(None, "ts"),
    Index(None, "bundle", "ts"),
    postgresql_partition_by="RANGE (ts)",
)

# No foreign key: feedback may arrive before the prediction that it speaks of, out of another process's spool.
# One row a visitor, estimate and type: who says it again replaces what they said. All who came without a visitor id
# count as one, which also bounds what can be stored for one estimate. `served_variant` is null until the prediction is
# there too; the index on `ts` holds all that a summary reads.
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
    CheckConstraint(one_of("served_variant", VARIANTS), name="served_variant"),
    CheckConstraint(one_of("feedback_type", FEEDBACK_TYPES), name="feedback_type"),
    UniqueConstraint("prediction_id", "visitor", "feedback_type", postgresql_nulls_not_distinct=True),
    Index(None, "ts", postgresql_include=["served_variant", "feedback_type", "feedback_value", "verified"]),
    Index("user_feedback_unmatched_idx", "ts", postgresql_where=text("served_variant IS NULL")),
)

# What `/api/metrics` reads instead of the log itself: every hour and every day (UTC), counted as its predictions are
# stored, in the same transaction. `visitors` is a sketch (`distinct`), `bucket` a range of milliseconds (`latency`).


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

# Append-only, which triggers of the migration see to; only `result_version` is filled in once. `policy_document` and
# `evidence` are what a decision can be computed again from, `statistics` what it then must give.
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
