"""Inserts records into PostgreSQL once each, and updates the hourly and daily rollups in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from homeprices.predictions.sketches import EMPTY_SQL, bucket_sql, sketch_sql
from homeprices.predictions.spool_segments import Record
from homeprices.predictions.tables import ID_BLOCK


def rollup_sql(added: str) -> str:
    """Common table expressions that count the rows of the relation `added`: an item of a WITH list."""
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
               sum(estimate), sum(milliseconds), coalesce({sketch_sql("visitor")}, {EMPTY_SQL})
        FROM {added} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT ({unit}, variant, bundle) DO UPDATE
        SET requests = counted.requests + excluded.requests, fallbacks = counted.fallbacks + excluded.fallbacks,
            estimate_sum = counted.estimate_sum + excluded.estimate_sum,
            milliseconds_sum = counted.milliseconds_sum + excluded.milliseconds_sum,
            visitors = counted.visitors | excluded.visitors
    """  # noqa: S608 - made of this package's own words


def _count_latency(added: str, unit: str) -> str:
    return f"""
        INSERT INTO latency_{unit}s AS counted ({unit}, variant, bucket, requests)
        SELECT date_trunc('{unit}', ts, 'UTC'), served_variant, {bucket_sql("milliseconds")}, count(*)
        FROM {added} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT ({unit}, variant, bucket) DO UPDATE SET requests = counted.requests + excluded.requests
    """  # noqa: S608 - made of this package's own words


# Records of the spool into PostgreSQL, by batches, as they are: the JSON of a record has the columns' names.
#
# Every statement can be run again with the same records and changes nothing: a batch committed while its segment
# was not yet deleted comes again after a crash.


PREDICTION, FEEDBACK = "p", "f"

# Whether a visitor was given the estimate that they speak of is known when both rows are there, whichever comes first.
# Batches of predictions hold this lock shared and batches of feedback exclusively, so that neither overlooks the other.
_VERIFICATION_LOCK = 7_311_002
_LOCK_SHARED = text("SELECT pg_advisory_xact_lock_shared(:key)")
_LOCK_ALONE = text("SELECT pg_advisory_xact_lock(:key)")

# The counts change in the same statement, by the rows that were really added: a record that comes again adds nothing.
# Rows of counts are taken in their order, so that no two drains lock each other out.
_INSERT_PREDICTIONS = text(
    f"""
    WITH added AS (
        INSERT INTO prediction_logs (id, ts, request_id, visitor, assigned_variant, served_variant, fallback, bundle,
                                     epoch, inputs, estimate, interval_low, interval_high, milliseconds)
        SELECT id, ts, request_id, visitor, assigned_variant, served_variant, fallback, bundle,
               epoch, inputs, estimate, interval_low, interval_high, milliseconds
        FROM jsonb_to_recordset(CAST(:records AS jsonb)) AS record (
            id bigint, ts timestamptz, request_id text, visitor text, assigned_variant text, served_variant text,
            fallback boolean, bundle text, epoch integer, inputs jsonb, estimate double precision,
            interval_low double precision, interval_high double precision, milliseconds double precision)
        ON CONFLICT DO NOTHING
        RETURNING id, ts, visitor, served_variant, fallback, bundle, estimate, milliseconds
    ), {rollup_sql("added")}
    UPDATE user_feedback
    SET served_variant = added.served_variant, verified = coalesce(user_feedback.visitor = added.visitor, false)
    FROM added WHERE prediction_id = added.id AND user_feedback.served_variant IS NULL
    """  # noqa: S608 - made of this package's own words
)
# Of several remarks of one visitor on one estimate the latest stays, in whatever order spools are drained. An id that
# no process has ever reserved was never given to anybody.
_INSERT_FEEDBACK = text(
    """
    WITH record AS (
        SELECT * FROM jsonb_to_recordset(CAST(:records AS jsonb)) AS record (
            prediction_id bigint, visitor text, feedback_type text, feedback_value double precision,
            feedback_text text, ts timestamptz)
    ), reserved AS (
        SELECT CASE WHEN is_called THEN last_value + :block ELSE 0 END AS below FROM prediction_id
    ), kept AS (
        INSERT INTO user_feedback (prediction_id, visitor, served_variant, verified, feedback_type, feedback_value,
                                   feedback_text, ts)
        SELECT DISTINCT ON (record.prediction_id, record.visitor, record.feedback_type)
               record.prediction_id, record.visitor, prediction_logs.served_variant,
               coalesce(record.visitor = prediction_logs.visitor, false),
               record.feedback_type, record.feedback_value, record.feedback_text, record.ts
        FROM record JOIN reserved ON record.prediction_id < reserved.below
        LEFT JOIN prediction_logs ON prediction_logs.id = record.prediction_id
        ORDER BY record.prediction_id, record.visitor, record.feedback_type, record.ts DESC
        ON CONFLICT (prediction_id, visitor, feedback_type) DO UPDATE
        SET feedback_value = excluded.feedback_value, feedback_text = excluded.feedback_text,
            served_variant = excluded.served_variant, verified = excluded.verified, ts = excluded.ts
        WHERE excluded.ts > user_feedback.ts
    )
    SELECT count(*) FROM record JOIN reserved ON record.prediction_id >= reserved.below
    """
)


def insert_batch(connection: Connection, records: Sequence[Record]) -> int:
    """Write records in the connection's transaction. Raises DataError, IntegrityError for a value that does not fit.

    Returns how many remarks were dropped, because they speak of an estimate that was never given.
    """
    predictions = [record.body for record in records if record.kind == PREDICTION]
    feedback = [record.body for record in records if record.kind == FEEDBACK]
    # The stronger lock first: two that hold it shared and then both want it alone would wait for each other.
    lock = _LOCK_ALONE if feedback else _LOCK_SHARED
    connection.execute(lock, {"key": _VERIFICATION_LOCK})
    if predictions:
        connection.execute(_INSERT_PREDICTIONS, {"records": _array(predictions)})
    if not feedback:
        return 0
    dropped = connection.execute(_INSERT_FEEDBACK, {"records": _array(feedback), "block": ID_BLOCK}).scalar_one()
    return int(dropped)


def _array(bodies: list[bytes]) -> str:
    return "[" + b",".join(bodies).decode() + "]"
