"""The exceptions of this project, each with the HTTP status of its response.

HomePricesError                500
├── SettingsError              500  the environment is wrong; names the variable
├── InvalidInput               422  a value is not allowed; carries one entry a field
│   └── DatasetRefused         422  a file is not the table of listings
│       └── MalformedTable     400  a file or body is not text, JSON, CSV or Parquet
├── NotFound                   404
│   └── ObjectNotFound         404  no such key in the bucket
├── Conflict                   409
│   └── PreconditionFailed     409  another writer was first (conditional PUT)
├── BundleRefused              500  a bundle is incomplete, altered, or fails its own golden inputs
├── PublicationRefused         409  a model fails its checks, or hardly differs from production
├── TrackingRefused            500  MLflow rejected a request
├── NotReady                   503  a replica does not (yet) serve the expected version
└── Unavailable                503  a dependency does not answer; carries Retry-After
    ├── StorageUnavailable     503  the bucket
    ├── DatabaseUnavailable    503  PostgreSQL
    ├── TrackingUnavailable    503  MLflow
    ├── NoModel                503  this instance has no model to answer with
    └── SpoolFull              503  the disk cannot take another record
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from itertools import islice
from typing import Literal

from homeprices.foreign_text import LONG, printable


class HomePricesError(Exception):
    """Base class. `status` is the HTTP status of the response, `title` its short name."""

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    title: str = "Internal error"

    @property
    def detail(self) -> str:
        """One readable line."""
        return str(self)


class SettingsError(HomePricesError):
    """The environment is wrong. The message names the variable and what is allowed, never a secret's value."""

    title = "Wrong settings"


MOST_FIELDS = 20
"""The most fields that one error names."""

MORE_FIELDS = "more"


class InvalidInput(HomePricesError):
    """Values that are not allowed. `fields` maps each field's name to what is wrong with it.

    The sender of a request chooses the names, so the error is bounded: names and problems are cut, and at most
    `MOST_FIELDS` are listed. For the others, and for `more` that the caller did not check, only their number is given.
    """

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "Invalid input"

    def __init__(self, fields: Mapping[str, str], more: int = 0) -> None:
        named = islice(fields.items(), MOST_FIELDS)
        self.fields = {printable(name, LONG): printable(problem, 2 * LONG) for name, problem in named}
        if more := more + len(fields) - min(len(fields), MOST_FIELDS):
            self.fields[MORE_FIELDS] = f"{more:,} more fields are wrong"
        fields = self.fields
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in fields.items()))


class DatasetRefused(InvalidInput):
    """A file is not the table of listings. `fields` maps a column (or `file`) to what was found and expected."""

    title = "Dataset refused"


class MalformedTable(DatasetRefused):
    """A file or a body cannot be read as a table. `fields` maps its name to the line, the column and the problem."""

    status = HTTPStatus.BAD_REQUEST
    title = "Bad request"


class NotFound(HomePricesError):
    """The requested thing does not exist."""

    status = HTTPStatus.NOT_FOUND
    title = "Not found"


class ObjectNotFound(NotFound):
    """No such key in the bucket."""


class Conflict(HomePricesError):
    """The operation is not allowed in the present state."""

    status = HTTPStatus.CONFLICT
    title = "Conflict"


class PreconditionFailed(Conflict):
    """Another writer was first: the key exists, or has changed since it was read."""


BundleFault = Literal["damaged", "inputs", "answers", "slow"]
"""What is wrong with a bundle: a file is missing or altered, or its model takes other inputs, errs, or is slow."""


class BundleRefused(HomePricesError):
    """A bundle is incomplete, altered, or does not reproduce its own golden outputs (in time)."""

    title = "Bundle refused"

    def __init__(self, message: str, fault: BundleFault = "damaged") -> None:
        super().__init__(message)
        self.fault: BundleFault = fault


class PublicationRefused(Conflict):
    """A model fails its checks, or hardly differs from production. The message gives the reason."""

    title = "Publication refused"


class TrackingRefused(HomePricesError):
    """MLflow rejected a request. `code` is MLflow's own error code."""

    title = "Tracking refused"

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Unavailable(HomePricesError):
    """A dependency does not answer. `retry_after` is in seconds."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "Unavailable"

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotReady(HomePricesError):
    """A replica does not (yet) serve the expected version. The message names the replica and what it serves."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "Not ready"


class StorageUnavailable(Unavailable):
    """The bucket does not answer."""


class DatabaseUnavailable(Unavailable):
    """PostgreSQL does not answer."""


class TrackingUnavailable(Unavailable):
    """MLflow does not answer."""


class NoModel(Unavailable):
    """This instance has no model to answer with (yet)."""

    title = "No model"


class SpoolFull(Unavailable):
    """The disk cannot take another record."""

    title = "Spool full"
