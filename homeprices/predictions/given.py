"""Whether an estimate of an id was given to anybody, as far as PostgreSQL can tell.

A process gives the ids of a block in their order and drains them in that order, so an id that a later one of its block
has left behind was never given. One behind which nothing is stored may lie in the spool of any replica, for as long as
that replica does not reach PostgreSQL: it cannot be told, and only the drain will know.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from homeprices.predictions.tables import ID_BLOCK

OUT_OF_ORDER_SECONDS = 60
"""Longer than any request takes: two threads may take their ids in one order and put them on disk in the other."""

_TRACE = text(
    """
    SELECT EXISTS (SELECT FROM prediction_logs WHERE id = :id) AS stored,
           (SELECT is_called AND :id < last_value + :block FROM prediction_id) AS reserved,
           EXISTS (SELECT FROM prediction_logs
                   WHERE id > :id AND id <= :end AND ts < now() - make_interval(secs => :seconds)) AS passed_over
    """
)


@dataclass(frozen=True)
class Trace:
    """What PostgreSQL has of an id: its estimate, a block that somebody reserved, a later estimate of that block."""

    stored: bool
    reserved: bool
    passed_over: bool


def trace(connection: Connection, prediction_id: int) -> Trace:
    """Look for an id in the log and in the sequence, in one statement."""
    end = -(-prediction_id // ID_BLOCK) * ID_BLOCK  # blocks begin with 1
    asked = {"id": prediction_id, "end": end, "block": ID_BLOCK, "seconds": OUT_OF_ORDER_SECONDS}
    return Trace(**connection.execute(_TRACE, asked).mappings().one())
