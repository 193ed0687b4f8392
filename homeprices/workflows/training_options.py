"""What a person chose for one training run: the parameters of the training DAG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from homeprices.errors import InvalidInput

if TYPE_CHECKING:  # the options are read without scikit-learn
    from homeprices.model.estimators import EstimatorSpec


class TrainingOptions(BaseModel):
    """The choices of one run. None is the newest dataset, the setting, or all estimators."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    dataset: int | None = Field(default=None, ge=1)
    preset: Literal["quick", "full", "search"] | None = None
    seed: int | None = Field(default=None, ge=0, le=2**31 - 1)
    estimators: tuple[str, ...] = ()
    first_model: Literal["simple", "best"] | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the choices in the parameters of a run. Raises InvalidInput, which names the parameter."""
        try:
            return cls.model_validate({name: value for name, value in parameters.items() if value is not None})
        except ValidationError as error:
            raise InvalidInput(
                {
                    ".".join(map(str, fault["loc"])): f"{fault['msg']} (not {repr(fault['input'])[:40]})"
                    for fault in error.errors()
                }
            ) from error

    @field_validator("estimators", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    def names(self, specs: Iterable[EstimatorSpec], *, simple_only: bool) -> list[str]:
        """Return the names of the estimators to compare, in the order of `specs`, which has all of them.

        By default all; with `simple_only`, when nothing else may be published, the simple ones. Raises InvalidInput for
        a chosen name that does not exist, and when no chosen estimator may be published.
        """
        found = {spec.name: spec for spec in specs}
        trained = {name: spec for name, spec in found.items() if spec.simple or not simple_only}
        if not self.estimators:
            return list(trained)
        if unknown := [name for name in self.estimators if name not in found]:
            raise InvalidInput({"estimators": f"{unknown[0][:40]!r} is not one of {', '.join(found)}"})
        names = [name for name in found if name in self.estimators]
        publishable = [name for name, spec in trained.items() if spec.monotone]
        if not set(names) & set(publishable):
            refusal = f"this run may not publish {', '.join(names)}; choose at least one of {', '.join(publishable)}"
            raise InvalidInput({"estimators": refusal})
        return names


NO_CHOICE = TrainingOptions()
"""The options of a scheduled run."""
