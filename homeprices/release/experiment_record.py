"""The value of the control record: a running experiment, its epochs, and how one record follows from another.

Everything here is pure. `control_record` stores the record.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from homeprices.names import Phase
from homeprices.registry.regional_record import MOST_PLACES
from homeprices.release.trial_levels import TrialLevel, with_trial

MAX_SHARE = 50.0  # percent; a candidate that gets more than production is no longer a trial


class Epoch(BaseModel):
    """A period with a constant share, in percent, in which no visitor switches variant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int = Field(ge=1)
    share: float = Field(ge=0, le=MAX_SHARE)
    since: datetime


class ControlRecord(BaseModel):
    """The record that the router and the analysis read. Share in percent of the visitors; times in UTC.

    A `stopped` experiment has had its share set to zero, by a person or by the router's circuit breaker, until it gets
    a share again or ends. `epochs` are those of the running experiment, or of the last one. `level` is the error rate
    at which the running experiment may promote (None: that of the policy), `trials` are the levels of the last year.
    `phase` is `ramp` or `trial`; None without an experiment, and in records from before there was a ramp. `places` are
    those in which the candidate is tried, as `key_of` makes them; empty for the whole city. `regional` are the regional
    bundles that were in production beside `production` when the experiment began.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    state: Literal["idle", "running", "stopped"] = "idle"
    experiment: str | None = None
    production: str | None = None
    candidate: str | None = None
    salt: str = Field(default="", pattern=r"^[0-9a-f]*$", max_length=64)
    share: float = Field(default=0.0, ge=0, le=MAX_SHARE)
    epoch: int = Field(default=0, ge=0)
    epochs: tuple[Epoch, ...] = ()
    started_at: datetime | None = None
    phase: Phase | None = None
    level: float | None = Field(default=None, gt=0, lt=0.5)
    trials: tuple[TrialLevel, ...] = ()
    places: tuple[str, ...] = Field(default=(), max_length=MOST_PLACES)
    regional: tuple[str, ...] = ()
    updated_at: datetime | None = None
    updated_by: str = ""
    reason: str = ""

    @model_validator(mode="after")
    def _variants_match_the_state(self) -> ControlRecord:
        if self.state == "idle" and (self.candidate or self.experiment or self.share or self.places):
            raise ValueError("an idle record has no experiment, no candidate, no places and share 0")
        if self.state != "idle" and not (self.candidate and self.experiment and self.production):
            raise ValueError(f"a {self.state} record names its experiment, production and candidate")
        if self.state == "stopped" and self.share:
            raise ValueError("a stopped record has share 0")
        return self


def first_epoch(
    record: ControlRecord,
    production: str,
    candidate: str,
    salt: str,
    share: float,
    at: datetime,
    state: Literal["idle", "running", "stopped"] = "running",
    level: float | None = None,
    phase: Phase | None = "trial",
    places: tuple[str, ...] = (),
    regional: tuple[str, ...] = (),
) -> ControlRecord:
    """Return a record with the first epoch of an experiment. Its number follows the last experiment's."""
    epoch = record.epoch + 1
    return ControlRecord(
        state=state if share == 0 else "running",
        experiment=f"{production}-{candidate}",
        production=production,
        candidate=candidate,
        salt=salt,
        share=share,
        epoch=epoch,
        epochs=(Epoch(epoch=epoch, share=share, since=at),),
        started_at=at,
        phase=phase,
        level=level,
        places=places,
        regional=regional,
        trials=with_trial(record.trials, f"{production}-{candidate}", at, level),
    )


def with_share(record: ControlRecord, share: float, state: str, at: datetime, **fields: object) -> ControlRecord:
    """Return the record with another epoch, which has this share."""
    epoch = record.epoch + 1
    epochs = (*record.epochs, Epoch(epoch=epoch, share=share, since=at))
    return updated(record, share=share, state=state, epoch=epoch, epochs=epochs, **fields)


def updated(record: ControlRecord, **fields: object) -> ControlRecord:
    """Return a validated copy with other fields; `model_copy` alone does not validate."""
    return ControlRecord.model_validate(record.model_copy(update=fields).model_dump())


def in_places(places: tuple[str, ...]) -> str:
    """Return where a candidate is tried, for people: "in 3 places", or "in the whole city"."""
    if not places:
        return "in the whole city"
    return "in one place" if len(places) == 1 else f"in {len(places)} places"


HUNDREDTHS = 10_000  # Nginx reads a percentage with two decimals, and truncates the rest


def hundredths(share: float) -> int:
    """Return a share in percent as whole hundredths of a percent, the resolution of Nginx."""
    if not 0 <= share <= 100:
        raise ValueError(f"a share is from 0 to 100 percent, not {share!r}")
    return round(share * 100)
