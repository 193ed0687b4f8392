"""The metadata files of a bundle. `manifest.json` is written last and commits the bundle; a draft has `draft.json`.

A reader ignores fields it does not know: during a rolling update an older reader meets a newer writer's manifest.
A change that an older reader must not ignore raises `schema_version`.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from homeprices.foreign_text import printable
from homeprices.names import BUNDLE_KIND, REGIONAL_KIND, BundleKind
from homeprices.pricing.inputs import INPUT
from homeprices.words import PRICE_UNIT

MANIFEST_FILE = "manifest.json"
DRAFT_FILE = "draft.json"
WAITING_FILE = "waiting.json"
"""The manifest of a candidate that waits for its trial: under this name no reader takes the folder for a bundle."""

Version = Annotated[str, Field(pattern=r"^(BO|CO|RO)[1-9][0-9]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# Relative, slash-separated, no part that starts with a dot: a manifest cannot point outside its folder.
FileName = Annotated[
    str, Field(pattern=r"^(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*$", max_length=200)
]


INTERVAL_LOG_WIDTH = "interval_log_width"
"""A metric: the median of ln(high / low) over the hold-out, the baseline of drift for live intervals."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FileDigest(_Frozen):
    """One file of a bundle; size in bytes."""

    sha256: Sha256
    size: int = Field(ge=0)


def is_none(value: object) -> bool:
    """Whether a member is left out of the file: a copy of an earlier bundle's manifest has the members of that one."""
    return value is None


class DatasetReference(_Frozen):
    """The dataset of a model: its raw rows, and the rows that cleaning kept.

    `holdout` names the rule of the hold-out; `source` says what the listings are, and `imported_at` since when the
    dataset is there. Each is None in bundles that are older than the member.
    """

    version: int = Field(ge=1)
    key: str
    sha256: Sha256
    rows: int = Field(ge=0)
    rows_used: int = Field(ge=0)
    holdout: str | None = None
    source: str | None = Field(default=None, max_length=100, exclude_if=is_none)
    imported_at: datetime | None = Field(default=None, exclude_if=is_none)

    def described(self) -> str | None:
        """Return what the listings are and when they were imported, for people; None if that is not known."""
        if self.source is None:
            return None
        return printable(self.source) + (f", imported on {self.imported_at:%Y-%m-%d}" if self.imported_at else "")


class Golden(_Frozen):
    """A golden input, with the prediction in lakh rupees that every copy of this bundle must reproduce."""

    input: dict[str, str | int | float]
    estimated_price: float = Field(allow_inf_nan=False)
    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)


class Draft(_Frozen):
    """A bundle that has no version yet. `metrics` are of the hold-out; `created_at` is when the model was trained.

    `place_prices_as_of` is the day at whose price levels the model has learned prices; None for a model that uses no
    place prices, and not written then.
    """

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
    place_prices_as_of: date | None = Field(default=None, exclude_if=is_none)

    def publish(self, *, version: str, promoted_from: str | None, published_by: str) -> Manifest:
        """The manifest of this bundle under a version (`BO3`, `CO7`). A promotion calls it on a manifest."""
        content = self.model_dump(exclude={"version", "kind", "promoted_from", "published_by"})
        return Manifest(
            **content, version=version, kind=_kind(version), promoted_from=promoted_from, published_by=published_by
        )


class Manifest(Draft):
    """A published bundle."""

    version: Version
    kind: BundleKind
    promoted_from: Version | None
    published_by: str

    @model_validator(mode="after")
    def _kind_is_the_versions(self) -> Manifest:
        if not self.version.startswith(self.kind):
            raise ValueError(f"version {self.version} is not of kind {self.kind}")
        return self


def _kind(version: str) -> BundleKind:
    kinds = (*BUNDLE_KIND.values(), REGIONAL_KIND)
    return next((kind for kind in kinds if version.startswith(kind)), BUNDLE_KIND["candidate"])


if TYPE_CHECKING:
    InputName = str
else:
    InputName = Literal[tuple(INPUT)]


class Input(_Frozen):
    """One named input of the ONNX graph, [N, 1]: `number` is float32, `text` is string."""

    name: InputName
    type: Literal["number", "text"]


class Interval(_Frozen):
    """The interval around an estimate: from `lower_factor` to `upper_factor` times it, covering `coverage` of homes."""

    coverage: float = Field(gt=0, lt=1)
    lower_factor: float = Field(gt=0, le=1)
    upper_factor: float = Field(ge=1, allow_inf_nan=False)


class Columns(_Frozen):
    """The inputs of the graph, the learned locations, and the range of each number in training."""

    inputs: tuple[Input, ...] = Field(min_length=1)
    locations: tuple[str, ...]
    interval: Interval
    ranges: dict[str, tuple[float, float]]

    def signature(self) -> str:
        """The inputs and outputs of the graph in one line: `area: number, ... -> estimate, low, high`."""
        taken = ", ".join(f"{spec.name}: {spec.type}" for spec in self.inputs)
        return f"{taken} -> estimate, low, high in {PRICE_UNIT}"


# `reference.json`: binned features and predictions of the training rows, the baseline of drift for live traffic.


REFERENCE_FILE = "reference.json"


class NumberReference(BaseModel):
    """A number's distribution. `counts[i]` rows lie in [edges[i], edges[i+1]), the last bin includes its upper edge.

    `percentiles` are the values at 1, 2, ..., 99 %; bundles from before it have none.
    """

    model_config = ConfigDict(frozen=True)

    type: Literal["number"] = "number"
    edges: list[float]
    counts: list[int]
    missing: int
    mean: float
    std: float
    minimum: float
    median: float
    maximum: float
    percentiles: list[float] | None = None


class TextReference(BaseModel):
    """A text's distribution: rows by value, without the missing ones."""

    model_config = ConfigDict(frozen=True)

    type: Literal["text"] = "text"
    counts: dict[str, int]
    missing: int


FeatureReference = Annotated[NumberReference | TextReference, Field(discriminator="type")]


class Reference(BaseModel):
    """Distributions over the training rows (not the hold-out): the model's inputs, and its estimates in lakh rupees."""

    model_config = ConfigDict(frozen=True)

    rows: int
    features: dict[str, FeatureReference]
    prediction: NumberReference
