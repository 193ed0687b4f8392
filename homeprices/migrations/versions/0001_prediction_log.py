"""The prediction log, feedback, decisions and drift reports."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("prediction_id", data_type=sa.BigInteger, start=1, increment=1000)))
    _prediction_logs()
    _user_feedback()
    _ab_decisions()
    _drift_reports()


def downgrade() -> None:
    for table in ("drift_reports", "ab_decisions", "user_feedback", "prediction_logs"):
        op.drop_table(table)
    op.execute(sa.schema.DropSequence(sa.Sequence("prediction_id")))


def _prediction_logs() -> None:
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
        sa.PrimaryKeyConstraint("id", name="prediction_logs_pkey"),
        _one_of("prediction_logs", "assigned_variant", "production", "candidate"),
        _one_of("prediction_logs", "served_variant", "production", "candidate"),
    )
    op.create_index("prediction_logs_ts_idx", "prediction_logs", ["ts"])
    op.create_index("prediction_logs_bundle_ts_idx", "prediction_logs", ["bundle", "ts"])


def _user_feedback() -> None:
    op.create_table(
        "user_feedback",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("prediction_id", sa.BigInteger, nullable=False),
        sa.Column("visitor", sa.Text),
        sa.Column("verified", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("feedback_type", sa.Text, nullable=False),
        sa.Column("feedback_value", sa.Double),
        sa.Column("feedback_text", sa.Text),
        sa.Column("ts", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="user_feedback_pkey"),
        _one_of(
            "user_feedback",
            "feedback_type",
            "rating",
            "accurate",
            "too_high",
            "too_low",
            "actual_price",
        ),
        sa.UniqueConstraint(
            "prediction_id",
            "visitor",
            "feedback_type",
            name="user_feedback_prediction_id_visitor_feedback_type_key",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index("user_feedback_ts_idx", "user_feedback", ["ts"])


def _ab_decisions() -> None:
    op.create_table(
        "ab_decisions",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column(
            "ts",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
        ),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("experiment", sa.Text, nullable=False),
        sa.Column("production", sa.Text, nullable=False),
        sa.Column("candidate", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("evidence", JSONB, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("result_version", sa.Text),
        sa.Column("actor", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="ab_decisions_pkey"),
        sa.UniqueConstraint("key", name="ab_decisions_key_key"),
    )
    op.create_index("ab_decisions_experiment_ts_idx", "ab_decisions", ["experiment", "ts"])


def _drift_reports() -> None:
    op.create_table(
        "drift_reports",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column(
            "ts",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
        ),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("bundle", sa.Text, nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data_points", sa.Integer, nullable=False),
        sa.Column("summary", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", name="drift_reports_pkey"),
        _one_of("drift_reports", "variant", "production", "candidate"),
    )
    op.create_index("drift_reports_variant_ts_idx", "drift_reports", ["variant", "ts"])


def _one_of(table: str, column: str, *values: str) -> sa.CheckConstraint:
    allowed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({allowed})", name=op.f(f"{table}_{column}_check"))
