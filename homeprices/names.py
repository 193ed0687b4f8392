"""Names that several parts of the project share: variants, bundle kinds, DAG ids, asset names, the prediction's path.

People, other programs and stored data depend on them. The module uses the standard library only, so that Airflow can
import it while it parses DAG files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Variant = Literal["production", "candidate"]
BundleKind = Literal["BO", "CO", "RO"]
ModelPrefix = Literal["best_model", "candidate_model"]

VARIANTS: Final[tuple[Variant, Variant]] = ("production", "candidate")

Phase = Literal["shadow", "waiting", "ramp", "trial", "bake"]
"""Where a model is on its way to production: compared on logged homes, waiting for the slot, given a growing share of
the visitors, on trial with the last share, watched as the new production."""

BUNDLE_KIND: Final[Mapping[Variant, BundleKind]] = {"production": "BO", "candidate": "CO"}
"""The kind of bundle that a variant serves: the letters before the number of its versions."""

REGIONAL_KIND: Final[BundleKind] = "RO"
"""The kind of a regional bundle: production in the places for which its candidate was promoted."""

MODEL_PREFIX: Final[Mapping[Variant, ModelPrefix]] = {"production": "best_model", "candidate": "candidate_model"}
"""The value of the environment variable `MODEL_PREFIX` of a variant's serving instances."""

TRAINING_DAG: Final = "bangalore_home_prices_pipeline"
EVALUATION_DAG: Final = "evaluate_ab_dag"
DRIFT_DAG: Final = "drift_monitoring_dag"
BATCH_DAG: Final = "batch_scoring_dag"
PLACE_PRICES_DAG: Final = "place_prices_dag"

AIRFLOW_SERVICE_USER: Final = "homeprices-service"
"""Airflow's user for services: it reads, and starts runs. A run that it starts may name the person who asked for it."""

DATASET_ASSET: Final = "dataset"
CANDIDATE_WANTED_ASSET: Final = "candidate_wanted"

SYNTHETIC_SOURCE: Final = "synthetic listings"
"""The source of a dataset that `data synthesize` wrote."""

PLACE_HEADER: Final = "X-Home-Place"
"""The header in which a client states the home's place (`pricing.features.place_header`): the router reads no body."""

EXPLAIN_PATH: Final = "/api/explain"
"""The path of an explanation of an estimate."""

PREDICT_PATH: Final = "/api/predict_home_price"
"""The path of a single prediction; the path of a batch is below it."""
