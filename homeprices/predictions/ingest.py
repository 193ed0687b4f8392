"""Inserts batches of records into PostgreSQL, and updates the hourly and daily rollups in the same transaction.

The JSON of a record has the names of the columns. Every statement is idempotent: a batch that was committed before its
segment was deleted comes again after a crash, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from homeprices.predictions.sketches import EMPTY_SQL, bucket_sql, sketch_sql
from homeprices.predictions.spool_segments import Record
from homeprices.predictions.tables import ID_BLOCK


def rollup_sql(added: str) -> str:
    """Return common table expressions, for a WITH list, that add the rows of the relation `added` to the rollups.

    `counted_visitor` of the relation is null for a visitor whose cookie has never come back.
    """
    items = [
        f"{kind}_{unit} AS ({statement})"
        for unit in ("hour", "day")
        for kind, statement in (("traffic", _count_traffic(added, unit)), ("latency", _count_latency(added, unit)))
    ]
    return ",\n".join(items)


def _count_traffic(added: str, unit: str) -> str:
    return f"""
        INSERT INTO traffic_{unit}s AS counted ({unit}, variant, bundle, requests, fallbacks, estimate_sum,
                                                milliseconds_sum, visitors)
        SELECT date_trunc('{unit}', ts, 'UTC'), served_variant, bundle, count(*), count(*) FILTER (WHERE fallback),
               sum(estimate), sum(milliseconds), coalesce({sketch_sql("counted_visitor")}, {EMPTY_SQL})
        FROM {added} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT ({unit}, variant, bundle) DO UPDATE
        SET requests = counted.requests + excluded.requests, fallbacks = counted.fallbacks + excluded.fallbacks,
            estimate_sum = counted.estimate_sum + excluded.estimate_sum,
            milliseconds_sum = counted.milliseconds_sum + excluded.milliseconds_sum,
            visitors = counted.visitors | excluded.visitors
    """  # noqa: S608 (made of constants)


def _count_latency(added: str, unit: str) -> str:
    return f"""
        INSERT INTO latency_{unit}s AS counted ({unit}, variant, bucket, requests)
        SELECT date_trunc('{unit}', ts, 'UTC'), served_variant, {bucket_sql("milliseconds")}, count(*)
        FROM {added} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT ({unit}, variant, bucket) DO UPDATE SET requests = counted.requests + excluded.requests
    """  # noqa: S608 (made of constants)


PREDICTION, FEEDBACK = "p", "f"

# Feedback is verified when both it and its prediction are stored, whichever comes first. Batches of predictions hold
# this lock shared and batches of feedback exclusively, so that each sees the rows of the other.
_VERIFICATION_LOCK = 7_311_002
_LOCK_SHARED = text("SELECT pg_advisory_xact_lock_shared(:key)")
_LOCK_EXCLUSIVE = text("SELECT pg_advisory_xact_lock(:key)")

# The same statement updates the rollups by the rows that were inserted, so that a repeated record adds nothing. It
# locks the rollups' rows in order, so that two drains cannot deadlock.
_INSERT_PREDICTIONS = text(
    f"""
    WITH added AS (
        INSERT INTO prediction_logs (id, ts, request_id, visitor, assigned_variant, served_variant, fallback, bundle,
                                     epoch, inputs, estimate, interval_low, interval_high, milliseconds, network,
                                     returning_visitor)
        SELECT id, ts, request_id, visitor, assigned_variant, served_variant, fallback, bundle,
               epoch, inputs, estimate, interval_low, interval_high, milliseconds, network, returning_visitor
        FROM jsonb_to_recordset(CAST(:records AS jsonb)) AS record (
            id bigint, ts timestamptz, request_id text, visitor text, assigned_variant text, served_variant text,
            fallback boolean, bundle text, epoch integer, inputs jsonb, estimate double precision,
            interval_low double precision, interval_high double precision, milliseconds double precision,
            network text, returning_visitor boolean)
        ON CONFLICT DO NOTHING
        RETURNING id, ts, visitor, served_variant, fallback, bundle, estimate, milliseconds,
                  CASE WHEN returning_visitor IS NOT FALSE THEN visitor END AS counted_visitor
    ), {rollup_sql("added")}
    UPDATE user_feedback
    SET served_variant = added.served_variant, verified = coalesce(user_feedback.visitor = added.visitor, false)
    FROM added WHERE prediction_id = added.id AND user_feedback.served_variant IS NULL
    """  # noqa: S608 (made of constants)
)
# The latest feedback of a visitor, prediction and type is kept, in whatever order spools are drained. An id that no
# process has reserved was never issued.
_INSERT_FEEDBACK = text(
    """
    WITH record AS (
        SELECT * FROM jsonb_to_recordset(CAST(:records AS jsonb)) AS record (
            prediction_id bigint, visitor text, feedback_type text, feedback_value double precision,
            feedback_text text, ts timestamptz, network text, returning_visitor boolean)
    ), reserved AS (
        SELECT CASE WHEN is_called THEN last_value + :block ELSE 0 END AS below FROM prediction_id
    ), kept AS (
        INSERT INTO user_feedback (prediction_id, visitor, served_variant, verified, feedback_type, feedback_value,
                                   feedback_text, ts, network, returning_visitor)
        SELECT DISTINCT ON (record.prediction_id, record.visitor, record.feedback_type)
               record.prediction_id, record.visitor, prediction_logs.served_variant,
               coalesce(record.visitor = prediction_logs.visitor, false),
               record.feedback_type, record.feedback_value, record.feedback_text, record.ts,
               record.network, record.returning_visitor
        FROM record JOIN reserved ON record.prediction_id < reserved.below
        LEFT JOIN prediction_logs ON prediction_logs.id = record.prediction_id
        ORDER BY record.prediction_id, record.visitor, record.feedback_type, record.ts DESC
        ON CONFLICT (prediction_id, visitor, feedback_type) DO UPDATE
        SET feedback_value = excluded.feedback_value, feedback_text = excluded.feedback_text,
            served_variant = excluded.served_variant, verified = excluded.verified, ts = excluded.ts,
            network = excluded.network, returning_visitor = excluded.returning_visitor
        WHERE excluded.ts > user_feedback.ts
    )
    SELECT count(*) FROM record JOIN reserved ON record.prediction_id >= reserved.below
    """
)


def insert_batch(connection: Connection, records: Sequence[Record]) -> int:
    """Insert records in the connection's transaction, and return how many feedback records were dropped.

    Feedback is dropped when its prediction id was never issued. Raises DataError, IntegrityError.
    """
    predictions = [record.body for record in records if record.kind == PREDICTION]
    feedback = [record.body for record in records if record.kind == FEEDBACK]
    # The exclusive lock first: two drains that upgrade from the shared one would deadlock.
    lock = _LOCK_EXCLUSIVE if feedback else _LOCK_SHARED
    connection.execute(lock, {"key": _VERIFICATION_LOCK})
    if predictions:
        connection.execute(_INSERT_PREDICTIONS, {"records": _array(predictions)})
    if not feedback:
        return 0
    dropped = connection.execute(_INSERT_FEEDBACK, {"records": _array(feedback), "block": ID_BLOCK}).scalar_one()
    return int(dropped)


def _array(bodies: list[bytes]) -> str:
    return "[" + b",".join(bodies).decode() + "]"
