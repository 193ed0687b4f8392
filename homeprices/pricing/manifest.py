"""What a bundle says of itself: `manifest.json`, written last, is its commit mark; `draft.json` is it before release.

A reader ignores fields it does not know: during a rolling update an older reader meets a newer writer's manifest.
A change that an older reader must not ignore raises `schema_version`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MANIFEST_FILE = "manifest.json"
DRAFT_FILE = "draft.json"

Version = Annotated[str, Field(pattern=r"^(BO|CO)[1-9][0-9]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# Relative, slash-separated, no part that starts with a dot: a manifest cannot point outside its folder.
FileName = Annotated[
    str, Field(pattern=r"^(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*$", max_length=200)
]


INTERVAL_LOG_WIDTH = "interval_log_width"
"""A metric: the median of ln(high / low) over the hold-out, which drift compares the live intervals with."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FileDigest(_Frozen):
    """One file of a bundle; size in bytes."""

    sha256: Sha256
    size: int = Field(ge=0)


class DatasetReference(_Frozen):
    """The dataset a model learned from: rows as they came, and rows left after cleaning.

    `holdout` names the rule by which rows were kept from it; None: a bundle of before there was but one.
    """

    version: int = Field(ge=1)
    key: str
    sha256: Sha256
    rows: int = Field(ge=0)
    rows_used: int = Field(ge=0)
    holdout: str | None = None


class Golden(_Frozen):
    """An input with the answer that every copy of this bundle must give; lakh rupees."""

    input: dict[str, str | int | float]
    estimated_price: float = Field(allow_inf_nan=False)
    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)


class Draft(_Frozen):
    """A bundle that has no version yet. `metrics` are of the hold-out; `created_at` is when the model was trained."""

    schema_version: Literal[1] = 1
    created_at: datetime
    dataset: DatasetReference
    git_revision: str
    libraries: dict[str, str]
    estimator: str
    mlflow_run_id: str | None
    metrics: dict[str, float]
    golden: tuple[Golden, ...] = Field(min_length=1)
    files: dict[FileName, FileDigest] = Field(min_length=1)

    def publish(self, *, version: str, promoted_from: str | None, published_by: str) -> Manifest:
        """The manifest of this bundle under a version (`BO3`, `CO7`). Works on a manifest too: a promotion is that."""
        content = self.model_dump(exclude={"version", "kind", "promoted_from", "published_by"})
        return Manifest(
            **content, version=version, kind=_kind(version), promoted_from=promoted_from, published_by=published_by
        )


class Manifest(Draft):
    """A published bundle."""

    version: Version
    kind: Literal["BO", "CO"]
    promoted_from: Version | None
    published_by: str

    @model_validator(mode="after")
    def _kind_is_the_versions(self) -> Manifest:
        if not self.version.startswith(self.kind):
            raise ValueError(f"version {self.version} is not of kind {self.kind}")
        return self


def _kind(version: str) -> Literal["BO", "CO"]:
    return "BO" if version.startswith("BO") else "CO"
