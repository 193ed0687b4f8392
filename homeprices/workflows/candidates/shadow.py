"""The shadow comparison: a new candidate prices what visitors asked production for, before any visitor meets it.

The homes come from the prediction log, so no traffic is mirrored, and nothing enters the log or an experiment. A
disagreement that the policy does not allow stops the candidate. A trial in some places is preceded by a comparison on
the homes of those places alone. The reports are stored in the bucket and in MLflow.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from homeprices.adapters.database import open_engine, transaction
from homeprices.adapters.mlflow_client import MlflowClient
from homeprices.errors import HomePricesError
from homeprices.experiment import policies
from homeprices.experiment.aggregation import RescoredPrice, paired_price_error
from homeprices.experiment.collection import HOMES_AT_ONCE, logged_home
from homeprices.experiment.evidence import PairedPriceError
from homeprices.experiment.exposures import ActualPrice
from homeprices.experiment.policies.shadow_rule import ShadowRule
from homeprices.experiment.production_visitors import TimeWindow, spellings_of
from homeprices.log import get_logger
from homeprices.names import BUNDLE_KIND
from homeprices.predictions import log_queries
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.features import key_of
from homeprices.pricing.inputs import LOCATION
from homeprices.pricing.manifest import MANIFEST_FILE
from homeprices.pricing.predictor import Predictor, PriceModel
from homeprices.registry import bundle_reader, versions
from homeprices.registry.live_place_prices import LivePlacePrices
from homeprices.registry.production_models import open_production
from homeprices.release import holds, phases
from homeprices.release.experiment_record import in_places
from homeprices.training.comparison.disagreement import Disagreement, DisagreementMeter, estimates
from homeprices.words import ITEMS
from homeprices.workflows.candidates import shadow_page

if TYPE_CHECKING:
    from homeprices.resources import Resources

FOLDER = "reports/shadow/"
NEWEST = f"{FOLDER}newest.json"
"""Which report is the newest, for the operations page."""

IN_PLACES = "-in-places"
"""The end of the name of a report on the homes of some places."""

PRICE_DAYS = 90
"""Actual prices are rare and come late, so they are taken from a longer time than the homes."""

MOST_PRICES = 10_000
STATEMENT_TIMEOUT_SECONDS = 60

log = get_logger(__name__)


class ShadowReport(BaseModel):
    """The result of a shadow comparison; `found` is None if too few homes were logged.

    `objection` is the reason that stops the candidate, None if the trial may begin. `page` is the name of the stored
    report, None if there is none. `places` are the keys of the only places whose homes were compared, none for all.
    """

    model_config = ConfigDict(frozen=True)

    production: str | None
    at: datetime
    logged: int = 0
    found: Disagreement | None = None
    prices: PairedPriceError = PairedPriceError()
    objection: str | None = None
    sentence: str
    page: str | None = None
    places: tuple[str, ...] = ()

    @property
    def stopped(self) -> str | None:
        """The reason for which nothing is published, with the address of the report; None if the trial may begin."""
        return f"stopped in shadow: {self.objection} (/operations/shadow/{self.page})" if self.objection else None


def compare_in_shadow(
    resources: Resources,
    run_id: str,
    folder: Path | None = None,
    clock: Callable[[], datetime] = versions.utc_now,
    places: tuple[str, ...] = (),
) -> ShadowReport:
    """Compare a draft, or a candidate, with the production bundle on logged homes, store the report, and return it.

    It is in `folder`, by default the staged draft of the run, which is read only if there are enough homes. With
    `places` (keys), only homes of these count, and the report is one beside that of all. A repeated call replaces the
    report of the run. Raises DatabaseUnavailable, StorageUnavailable, NotFound without a
    draft, and BundleRefused when one of the two cannot be loaded.
    """
    now, policy = clock(), policies.load(resources.settings.policy)
    rule = policy.shadow
    production = bundle_reader.highest(resources.bucket, BUNDLE_KIND["production"])
    if production is None:
        return ShadowReport(production=None, at=now, sentence="There is no production to compare with.")
    if rule is None:
        sentence = f"The policy {policy.name} has no shadow comparison."
        return ShadowReport(production=production, at=now, sentence=sentence)
    comes = folder is None or not (folder / MANIFEST_FILE).exists()
    if (skip := holds.shadow_skip(resources.bucket, run_id, comes=comes)) is not None:
        return ShadowReport(production=production, at=now, sentence=f"{skip}.")
    asked, told = _logged(resources, rule, now, places)
    if len(asked) < rule.least_homes:
        sentence = (
            f"Visitors asked for {len(asked):,} {ITEMS}{_where(places)} in {rule.days} days. {rule.least_homes:,} are "
            "needed for a comparison, so the trial may begin."
        )
        return ShadowReport(production=production, at=now, logged=len(asked), sentence=sentence, places=places)
    with phases.in_shadow(resources.bucket, run_id, now), tempfile.TemporaryDirectory() as temporary:
        first = open_production(resources.bucket, production, Path(temporary))
        folder = folder or bundle_reader.fetch_staged(resources.bucket, run_id, Path(temporary))
        second = Predictor(Bundle.open(folder) if (folder / MANIFEST_FILE).exists() else Bundle.open_draft(folder))
        LivePlacePrices(resources.bucket, Path(temporary)).follow([second])
        found = compare_logged(first, second, asked, rule)
        prices = paired_prices(first, second, told)
    objection = rule.objection(found)
    report = ShadowReport(
        production=production,
        at=now,
        logged=len(asked),
        found=found,
        prices=prices,
        objection=objection,
        sentence=_sentence(found, rule, objection, places),
        page=bundle_reader.staging_folder(run_id).split("/")[1] + (IN_PLACES if places else ""),
        places=places,
    )
    _store(resources, run_id, report, rule)
    return report


def compare_logged(first: PriceModel, second: PriceModel, asked: Sequence[str], rule: ShadowRule) -> Disagreement:
    """Return the comparison of two models on logged inputs, each a text of JSON, in pieces of bounded memory."""
    meter = DisagreementMeter(first, second)
    for start in range(0, len(asked), HOMES_AT_ONCE):
        homes = (logged_home(json.loads(text)) for text in asked[start : start + HOMES_AT_ONCE])
        meter.add([home for home in homes if home is not None])
    return meter.result(rule.factor, rule.place_homes)


def paired_prices(first: PriceModel, second: PriceModel, told: Sequence[dict[str, Any]]) -> PairedPriceError:
    """Return the paired comparison of both models' errors on homes whose actual price a visitor reported."""
    prices = [ActualPrice(**row) for row in told]
    homes = [(price, home) for price in prices if (home := logged_home(price.inputs)) is not None]
    both = (estimates(model, [home for _, home in homes]) if homes else [] for model in (first, second))
    return paired_price_error(
        [
            RescoredPrice(price, one and one.price, two and two.price)
            for (price, _), one, two in zip(homes, *both, strict=True)
        ]
    )


def _logged(
    resources: Resources, rule: ShadowRule, now: datetime, places: tuple[str, ...]
) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the homes that visitors asked for, and the actual prices that they reported; those of `places`, if any."""
    # An engine of its own, because these statements may take longer than those of a visitor's request.
    engine = open_engine(resources.settings, statement_timeout_seconds=STATEMENT_TIMEOUT_SECONDS)
    try:
        with transaction(engine) as connection:
            since = now - timedelta(days=rule.days)
            named = spellings_of(connection, places, TimeWindow(since, now)) if places else None
            asked = log_queries.homes_asked(connection, since=since, until=now, most=rule.homes, spellings=named)
            if len(asked) < rule.least_homes:
                return asked, []
            since = now - timedelta(days=PRICE_DAYS)
            known = log_queries.known_prices(connection, since=since, until=now, most=MOST_PRICES)
            if places:
                known = [row for row in known if key_of(str(row["inputs"].get(LOCATION))) in places]
            return asked, known
    finally:
        engine.dispose()


def _where(places: tuple[str, ...]) -> str:
    return f" {in_places(places)}" if places else ""


def _sentence(found: Disagreement, rule: ShadowRule, objection: str | None, places: tuple[str, ...]) -> str:
    if objection is not None:
        return f"The candidate is stopped before any visitor{_where(places)}: {objection}."
    beyond = found.overall.beyond if found.overall else 0.0
    return (
        f"On {found.homes:,} {ITEMS}{_where(places)} that visitors asked {found.first} for, the candidate differs by "
        f"more than a factor of {rule.factor:g} on {beyond:.1%}, so the trial may begin."
    )


def _store(resources: Resources, run_id: str, report: ShadowReport, rule: ShadowRule) -> None:
    """Store the report; the pointer to the newest comes last. Without MLflow, the bucket has it."""
    document = json.dumps(report.model_dump(mode="json") | {"rule": rule.model_dump(mode="json")}, indent=1).encode()
    page = shadow_page.render(report, rule).encode()
    files = {f"{report.page}.json": document, f"{report.page}.html": page}
    for file, body in files.items():
        resources.bucket.put(FOLDER + file, body)
    members = {"page", "at", "production", "sentence", "objection"}
    name = f"shadow{IN_PLACES if report.places else ''}"
    resources.bucket.put(NEWEST, report.model_dump_json(include=members, indent=1).encode())
    try:
        tracking = MlflowClient(resources.settings)
        run = tracking.parent_run(run_id)
        with tempfile.TemporaryDirectory() as temporary:
            for file, body in files.items():
                (Path(temporary) / f"{name}{Path(file).suffix}").write_bytes(body)
            tracking.log_files(run, Path(temporary), under="shadow")
        tracking.log(run, metrics={f"{name}.{figure}": value for figure, value in _figures(report).items()})
    except HomePricesError as error:
        log.warning("shadow_report_upload_failed", page=report.page, error=str(error))


def _figures(report: ShadowReport) -> dict[str, float]:
    overall = report.found.overall if report.found else None
    if overall is None:
        return {}
    figures = {"homes": overall.homes, "beyond": overall.beyond, "ratio": overall.ratio, "width": overall.width}
    if report.prices.difference.n:
        figures["price_error_difference"] = report.prices.difference.mean
    return {name: float(value) for name, value in figures.items() if value is not None}
