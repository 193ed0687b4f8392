"""Daily counts in addition to hourly ones, so that a summary of a month reads a tenth of the rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BIT

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SKETCH_BITS = 16384


def upgrade() -> None:
    op.execute("LOCK TABLE traffic_hours, latency_hours IN SHARE ROW EXCLUSIVE MODE")
    op.create_table(
        "traffic_days",
        sa.Column("day", sa.DateTime(timezone=True), nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("bundle", sa.Text, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("fallbacks", sa.BigInteger, nullable=False),
        sa.Column("estimate_sum", sa.Double, nullable=False),
        sa.Column("milliseconds_sum", sa.Double, nullable=False),
        sa.Column("visitors", BIT(SKETCH_BITS), nullable=False),
        sa.PrimaryKeyConstraint("day", "variant", "bundle", name="traffic_days_pkey"),
    )
    op.create_table(
        "latency_days",
        sa.Column("day", sa.DateTime(timezone=True), nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("bucket", sa.SmallInteger, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("day", "variant", "bucket", name="latency_days_pkey"),
    )
    op.execute(
        "INSERT INTO traffic_days "
        "SELECT date_trunc('day', hour, 'UTC'), variant, bundle, sum(requests), sum(fallbacks), sum(estimate_sum), "
        "sum(milliseconds_sum), bit_or(visitors) FROM traffic_hours GROUP BY 1, 2, 3"
    )
    op.execute(
        "INSERT INTO latency_days "
        "SELECT date_trunc('day', hour, 'UTC'), variant, bucket, sum(requests) FROM latency_hours GROUP BY 1, 2, 3"
    )


def downgrade() -> None:
    op.drop_table("latency_days")
    op.drop_table("traffic_days")
