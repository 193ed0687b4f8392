"""Monthly partitions of the log, and hourly counts of its rows.

Copies the log under a lock; meanwhile, serving writes to the spool.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BIT, JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SKETCH_BITS = 16384
GAMMA = 1.05 / 0.95


def upgrade() -> None:
    op.execute("LOCK TABLE prediction_logs, user_feedback IN ACCESS EXCLUSIVE MODE")
    _set_aside()
    _prediction_logs("id", "ts", partition_by="RANGE (ts)")
    op.execute("CREATE TABLE prediction_logs_rest PARTITION OF prediction_logs DEFAULT")
    _months()
    op.execute("INSERT INTO prediction_logs SELECT * FROM prediction_logs_before")
    op.drop_table("prediction_logs_before")
    _feedback_knows_its_variant()
    _hours()


def downgrade() -> None:
    op.execute("LOCK TABLE prediction_logs, user_feedback IN ACCESS EXCLUSIVE MODE")
    op.drop_table("latency_hours")
    op.drop_table("traffic_hours")
    op.drop_index("user_feedback_unmatched_idx", "user_feedback")
    op.drop_index("user_feedback_ts_idx", "user_feedback")
    op.drop_column("user_feedback", "served_variant")
    op.create_index("user_feedback_ts_idx", "user_feedback", ["ts"])
    _set_aside()
    _prediction_logs("id")
    op.execute("INSERT INTO prediction_logs SELECT * FROM prediction_logs_before")
    op.drop_table("prediction_logs_before")


def _set_aside() -> None:
    """Give the names of the log and of its indexes to the table that comes after it."""
    op.rename_table("prediction_logs", "prediction_logs_before")
    for index in ("pkey", "ts_idx", "bundle_ts_idx"):
        op.execute(f"ALTER INDEX prediction_logs_{index} RENAME TO prediction_logs_before_{index}")


def _prediction_logs(*key: str, partition_by: str | None = None) -> None:
    op.create_table(
        "prediction_logs",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("ts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("visitor", sa.Text),
        sa.Column("assigned_variant", sa.Text),
        sa.Column("served_variant", sa.Text, nullable=False),
        sa.Column("fallback", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("bundle", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer),
        sa.Column("inputs", JSONB, nullable=False),
        sa.Column("estimate", sa.Double, nullable=False),
        sa.Column("interval_low", sa.Double, nullable=False),
        sa.Column("interval_high", sa.Double, nullable=False),
        sa.Column("milliseconds", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint(*key, name="prediction_logs_pkey"),
        _one_of_the_variants("prediction_logs", "assigned_variant"),
        _one_of_the_variants("prediction_logs", "served_variant"),
        postgresql_partition_by=partition_by,
    )
    op.create_index("prediction_logs_ts_idx", "prediction_logs", ["ts"])
    op.create_index("prediction_logs_bundle_ts_idx", "prediction_logs", ["bundle", "ts"])


def _months() -> None:
    """Partitions of the months that the log has rows of; serving makes those that come."""
    connection = op.get_bind()
    wanted = "SELECT DISTINCT date_trunc('month', ts AT TIME ZONE 'UTC') FROM prediction_logs_before"
    for month in connection.execute(sa.text(wanted)).scalars().all():
        after = datetime(month.year + month.month // 12, month.month % 12 + 1, 1)
        op.execute(
            f"CREATE TABLE prediction_logs_{month:%Y_%m} PARTITION OF prediction_logs "
            f"FOR VALUES FROM ('{month:%Y-%m-%d} 00:00+00') TO ('{after:%Y-%m-%d} 00:00+00')"
        )


def _feedback_knows_its_variant() -> None:
    op.add_column("user_feedback", sa.Column("served_variant", sa.Text))
    op.execute(
        "UPDATE user_feedback SET served_variant = prediction_logs.served_variant "
        "FROM prediction_logs WHERE prediction_logs.id = prediction_id"
    )
    op.create_check_constraint(
        op.f("user_feedback_served_variant_check"), "user_feedback", "served_variant IN ('production', 'candidate')"
    )
    op.drop_index("user_feedback_ts_idx", "user_feedback")
    op.create_index(
        "user_feedback_ts_idx",
        "user_feedback",
        ["ts"],
        postgresql_include=["served_variant", "feedback_type", "feedback_value", "verified"],
    )
    unmatched = sa.text("served_variant IS NULL")
    op.create_index("user_feedback_unmatched_idx", "user_feedback", ["ts"], postgresql_where=unmatched)


def _hours() -> None:
    op.create_table(
        "traffic_hours",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("bundle", sa.Text, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("fallbacks", sa.BigInteger, nullable=False),
        sa.Column("estimate_sum", sa.Double, nullable=False),
        sa.Column("milliseconds_sum", sa.Double, nullable=False),
        sa.Column("visitors", BIT(SKETCH_BITS), nullable=False),
        sa.PrimaryKeyConstraint("hour", "variant", "bundle", name="traffic_hours_pkey"),
    )
    op.create_table(
        "latency_hours",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("bucket", sa.SmallInteger, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("hour", "variant", "bucket", name="latency_hours_pkey"),
    )
    hour, rest = "date_trunc('hour', ts, 'UTC')", "((hashed >> 9) & ((1::bigint << 53) - 1))"
    op.execute(
        f"""
        INSERT INTO latency_hours
        SELECT {hour}, served_variant,
               floor(ln(least(greatest(milliseconds, 0.001), 1e7)) / ln({GAMMA!r}))::smallint, count(*)
        FROM prediction_logs GROUP BY 1, 2, 3
        """  # noqa: S608 - constants of this file
    )
    op.execute(
        f"""
        INSERT INTO traffic_hours
        SELECT {hour}, served_variant, bundle, count(*), count(*) FILTER (WHERE fallback), sum(estimate),
               sum(milliseconds),
               coalesce(bit_or(set_bit(B'0'::bit({SKETCH_BITS}), (hashed & 511)::integer * 32 + least(31,
                   CASE WHEN {rest} = 0 THEN 31
                   ELSE round(ln(({rest} & -{rest})::double precision) / ln(2.0))::integer END), 1))
                   FILTER (WHERE visitor IS NOT NULL), B'0'::bit({SKETCH_BITS}))
        FROM (SELECT *, hashtextextended(visitor, 0) AS hashed FROM prediction_logs) AS logged
        GROUP BY 1, 2, 3
        """  # noqa: S608 - constants of this file
    )


def _one_of_the_variants(table: str, column: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} IN ('production', 'candidate')", name=op.f(f"{table}_{column}_check"))
