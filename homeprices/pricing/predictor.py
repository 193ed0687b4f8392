"""The predictor of a verified bundle: one ONNX Runtime session, one thread per call, safe to share between threads."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import onnxruntime

from homeprices.errors import BundleRefused
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.features import OTHER_LOCATION, Locations
from homeprices.pricing.home import FEATURES, Home
from homeprices.pricing.inputs import LOCATION
from homeprices.pricing.market import MOST_CHANGE, Market, PlacePrices, typical_of_reference
from homeprices.pricing.plausibility import unusual_inputs
from homeprices.words import PRICE_UNIT

PRICE_DIGITS = 2  # decimals of a lakh in an answer: 1,000 rupees
OUTPUT = "estimate"
# Outputs of a graph that computes an interval per home. Without them, the factors of `columns.json` apply.
LOW_OUTPUT, HIGH_OUTPUT = "low", "high"
# A float32 has seven digits, and processors differ in how they round the last ones of a sum over trees.
GOLDEN_RELATIVE_TOLERANCE = 1e-4

_DTYPES: dict[str, Any] = {"number": np.float32, "text": object}


class Estimate(NamedTuple):
    """A price with its interval, in lakh rupees, and the learned location it was computed for."""

    price: float
    low: float
    high: float
    location: str
    location_known: bool


class _OneHome(threading.local):
    """The graph's inputs for a single home, allocated once per thread: a new allocation per request would take longer
    than all other Python code of a prediction.
    """

    def __init__(self, inputs: Sequence[tuple[str, str]]) -> None:
        self._feed = {name: np.empty((1, 1), dtype=_DTYPES[kind]) for name, kind in inputs}
        self._location = self._feed.get(LOCATION)
        self._cells = [(array, FEATURES[name]) for name, array in self._feed.items() if name != LOCATION]

    def filled(self, home: Home, location: str) -> dict[str, np.ndarray[Any, Any]]:
        """The graph's inputs for this home, valid until the thread's next call."""
        for array, read in self._cells:
            array[0, 0] = read(home)
        if self._location is not None:
            self._location[0, 0] = location
        return self._feed


class PriceModel(Protocol):
    """What prices homes: a `Predictor`, or several of them behind one version."""

    @property
    def version(self) -> str:
        """The version of the bundle."""

    def estimate(self, homes: Sequence[Home]) -> list[Estimate]:
        """Return an estimate for each home, in order. Raises BundleRefused."""

    def estimate_seconds(self) -> float:
        """Return the processor time of an estimate in seconds."""


class Predictor:
    """A loaded model. The constructor replays the golden inputs, which warms the session up and rejects a bad model."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._locations = Locations(bundle.columns.locations)
        self._inputs = [(spec.name, spec.type) for spec in bundle.columns.inputs]
        self._one = _OneHome(self._inputs)
        self._interval = bundle.columns.interval
        session = _session(bundle)
        # The session's public `run` checks the names of inputs on each call; `_session` has checked them once.
        self._session = getattr(session, "_sess", session)
        outputs = {item.name for item in session.get_outputs()}
        self._has_interval = {LOW_OUTPUT, HIGH_OUTPUT} <= outputs
        self._outputs = [OUTPUT, LOW_OUTPUT, HIGH_OUTPUT] if self._has_interval else [OUTPUT]
        self._base = bundle.place_prices()
        self._now: PlacePrices | None = None
        self.replay_golden()

    @property
    def base_place_prices(self) -> PlacePrices | None:
        """The price levels at which the model has learned prices; None for a model that uses no place prices."""
        return self._base

    @property
    def place_prices_as_of(self) -> date | None:
        """The day at whose price levels this model prices; None for a model that uses no place prices."""
        return None if self._base is None else (self._now or self._base).as_of

    def use_place_prices(self, table: PlacePrices | None) -> None:
        """Price at the levels of a table from now on; with None, at those of the training.

        A model without place prices, and one that is newer than the table, price as before. Raises BundleRefused when a
        level has changed more than MOST_CHANGE-fold since the training.
        """
        if self._base is None:
            return
        if table is None or table.as_of <= self._base.as_of:
            self._now = None
            return
        if (change := table.largest_change_since(self._base)) > MOST_CHANGE:
            reason = (
                f"the place prices of {table.as_of} differ up to {change:.1f}-fold from those of {self._base.as_of}"
            )
            raise BundleRefused(f"{self.version}: {reason}; at most {MOST_CHANGE:g}-fold is allowed")
        self._now = table  # one assignment: a call that runs now prices with the table before or with this one

    def price_change(self, place: str) -> float:
        """Return by what every price in a place is multiplied, because its price level has changed since the training.

        1.0 for a model without place prices. `place` may be in any spelling, known to the model or not.
        """
        now, base = self._now, self._base
        return 1.0 if now is None or base is None else now.change_since(base, place)

    @property
    def version(self) -> str:
        return self.bundle.version

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs that the model uses."""
        return tuple(name for name, _ in self._inputs)

    @property
    def locations(self) -> tuple[str, ...]:
        """The locations that the model has learned, in alphabetical order."""
        return self._locations.names

    def unusual_inputs(self, home: Home) -> dict[str, str]:
        """Return what makes a home unlike the training data, a sentence by input; empty for an ordinary home."""
        return unusual_inputs(home, self.bundle.columns.ranges)

    def suggested_location(self, text: str) -> str | None:
        """Return the learned name that a visitor may have meant by an unknown location; None without a near one."""
        return self._locations.nearest(text)

    @cached_property
    def market(self) -> Market | None:
        """The market of the training homes, read at the first explanation: an estimate does not need it.

        None in a bundle that is older than the file. Raises BundleRefused.
        """
        return self.bundle.market()

    def place_of(self, home: Home) -> str | None:
        """Return the learned location of a home; None for an unknown one."""
        name = self._locations.match(home.place)
        return name if name != OTHER_LOCATION else None

    def typical_home(self, place: str | None) -> Mapping[str, float | str]:
        """Return the typical home of a place that the market knows, in the model's vocabulary; else the city's."""
        if self.market is None:
            return self._typical_of_reference
        found = self.market.places.get(place) if place is not None else None
        return (found or self.market.city).typical

    @cached_property
    def _typical_of_reference(self) -> Mapping[str, float | str]:
        return typical_of_reference(self.bundle.reference())

    def estimate(self, homes: Sequence[Home]) -> list[Estimate]:
        """One estimate per home, in order. Raises BundleRefused when a price is not finite and positive."""
        if not homes:
            return []
        names = [self._locations.match(home.place) for home in homes]
        feed = self._one.filled(homes[0], names[0]) if len(homes) == 1 else self._feed(homes, names)
        answers = [column.ravel().tolist() for column in self._session.run(self._outputs, feed, None)]
        if self._has_interval:
            prices, lows, highs = answers
        else:
            [prices] = answers
            lows = [price * self._interval.lower_factor for price in prices]
            highs = [price * self._interval.upper_factor for price in prices]
        if self._now is not None:
            changes = [self.price_change(home.place) for home in homes]
            prices, lows, highs = (
                [value * change for value, change in zip(values, changes, strict=True)]
                for values in (prices, lows, highs)
            )
        estimates = []
        for price, low, high, name in zip(prices, lows, highs, names, strict=True):
            if not 0 < low <= price <= high < math.inf:  # also rejects NaN
                reason = f"the model answers {price} {PRICE_UNIT} ({low} to {high})"
                raise BundleRefused(f"{self.version}: {reason}", "answers")
            estimates.append(Estimate(price, low, high, name, name != OTHER_LOCATION))
        return estimates

    def _feed(self, homes: Sequence[Home], names: list[str]) -> dict[str, np.ndarray[Any, Any]]:
        return {
            name: _column(names if name == LOCATION else [FEATURES[name](home) for home in homes], kind)
            for name, kind in self._inputs
        }

    def price_columns(
        self, columns: Mapping[str, np.ndarray[Any, Any]], changes: np.ndarray[Any, Any] | float = 1.0
    ) -> tuple[np.ndarray[Any, Any], ...]:
        """Prices, lows and highs in lakh rupees [N] for feature columns: an array [N] for each input of the graph.

        `changes` are the `price_change` of each place, or of all. Raises BundleRefused when a price is not finite,
        positive and inside its interval.
        """
        feed = {name: columns[name].astype(_DTYPES[kind], copy=False).reshape(-1, 1) for name, kind in self._inputs}
        answers = [column.ravel().astype(np.float64) for column in self._session.run(self._outputs, feed, None)]
        prices = answers[0]
        factors = self._interval.lower_factor, self._interval.upper_factor
        low, high = answers[1:] if self._has_interval else (prices * factors[0], prices * factors[1])
        wrong = ~((low > 0) & (low <= prices) & (prices <= high) & (high < math.inf))
        if wrong.any():
            reason = f"the model answers {prices[wrong][0]} {PRICE_UNIT} ({low[wrong][0]} to {high[wrong][0]})"
            raise BundleRefused(f"{self.version}: {reason}", "answers")
        return prices * changes, low * changes, high * changes

    def replay_golden(self) -> None:
        """Predict the golden inputs again. Raises BundleRefused when a prediction differs from the recorded one."""
        for golden in self.bundle.manifest.golden:
            try:
                answer = self.estimate([Home.parse(golden.input)])[0]
            except BundleRefused:
                raise
            except Exception as error:  # onnxruntime's errors have no common base class
                reason = f"{self.version}: golden input {golden.input} cannot be priced: {error}"
                raise BundleRefused(reason, "inputs") from error
            for name, expected, found in (
                ("price", golden.estimated_price, answer.price),
                ("low", golden.low, answer.low),
                ("high", golden.high, answer.high),
            ):
                if not math.isclose(expected, found, rel_tol=GOLDEN_RELATIVE_TOLERANCE):
                    reason = f"the {name} of golden input {golden.input} is {found}, recorded was {expected}"
                    raise BundleRefused(f"{self.version}: {reason}", "answers")

    def estimate_seconds(self, repeats: int = 20) -> float:
        """The CPU time of an estimate in seconds: the minimum of `repeats`, which other load hardly affects."""
        homes = [Home.parse(self.bundle.manifest.golden[0].input)]
        spent = []
        for _ in range(repeats):
            started = time.thread_time()  # the session computes in the calling thread
            self.estimate(homes)
            spent.append(time.thread_time() - started)
        return min(spent)


def _session(bundle: Bundle) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it keeps more than a MiB per session, and makes no estimate faster
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(bundle.model_path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises bare subclasses of Exception for every defect of a file
        raise BundleRefused(f"{bundle.version}: the model cannot be loaded: {error}") from error
    wanted, found = {spec.name for spec in bundle.columns.inputs}, {item.name for item in session.get_inputs()}
    if wanted != found:
        reason = f"{bundle.version}: the model takes {sorted(found)}, its columns say {sorted(wanted)}"
        raise BundleRefused(reason, "inputs")
    if OUTPUT not in {item.name for item in session.get_outputs()}:
        raise BundleRefused(f"{bundle.version}: the model has no output named {OUTPUT}", "inputs")
    return session


def _column(values: Sequence[Any], kind: str) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=_DTYPES[kind]).reshape(-1, 1)
