"""Evidence without an experiment. What it is made of, tests of the tally and of a real PostgreSQL show."""

from datetime import UTC, datetime

import pytest

from homeprices.errors import Conflict
from homeprices.experiment import collection
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.release.experiment_record import ControlRecord


def test_without_an_experiment_there_is_no_evidence() -> None:
    with pytest.raises(Conflict, match="no experiment is running"):
        collection.collect_evidence(None, ControlRecord(), datetime(2026, 3, 1, tzinfo=UTC), SequentialPolicy())  # type: ignore[arg-type]
