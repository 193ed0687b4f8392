"""When a drift asks for a new model: a part of the policy's document, read by the drift check."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Retraining(BaseModel):
    """When the inputs drift, of which so many homes must have been seen; when the error does. Once for each drift."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on_inputs: bool = True
    on_error: bool = True
    least_homes: int = Field(default=100, ge=1)
