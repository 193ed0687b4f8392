"""Each record has a keyed hash of its visitor's network, and says whether the visitor's cookie came with the request.

Both columns are null in existing rows, so no row is rewritten.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("prediction_logs", "user_feedback")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("network", sa.Text))
        op.add_column(table, sa.Column("returning_visitor", sa.Boolean))


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "returning_visitor")
        op.drop_column(table, "network")
