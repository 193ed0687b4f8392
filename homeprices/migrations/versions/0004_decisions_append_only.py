"""Decisions keep their policy, statistics and software, and are never rewritten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = ("policy_document", "statistics", "software")

# The resulting version may be set once, because it is not known when the decision is recorded.
REFUSE = """
    CREATE FUNCTION ab_decisions_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND OLD.result_version IS NULL AND NEW.result_version IS NOT NULL
           AND to_jsonb(OLD) - 'result_version' = to_jsonb(NEW) - 'result_version' THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'ab_decisions is append-only' USING ERRCODE = 'restrict_violation';
    END $$
"""


def upgrade() -> None:
    for column in COLUMNS:
        op.add_column("ab_decisions", sa.Column(column, JSONB))
    op.execute(REFUSE)
    op.execute(
        "CREATE TRIGGER ab_decisions_rows BEFORE UPDATE OR DELETE ON ab_decisions "
        "FOR EACH ROW EXECUTE FUNCTION ab_decisions_append_only()"
    )
    op.execute(
        "CREATE TRIGGER ab_decisions_all BEFORE TRUNCATE ON ab_decisions "
        "FOR EACH STATEMENT EXECUTE FUNCTION ab_decisions_append_only()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER ab_decisions_all ON ab_decisions")
    op.execute("DROP TRIGGER ab_decisions_rows ON ab_decisions")
    op.execute("DROP FUNCTION ab_decisions_append_only()")
    for column in COLUMNS:
        op.drop_column("ab_decisions", column)
