"""The files that know homes. With another domain (`make new-domain`), they are what is replaced, and this test goes."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from homeprices.registry import mlflow_mirror
from tests.unit.test_architecture import ROOT, nodes, relative, sources

KNOWS_HOMES = {
    "homeprices/words.py": "the words that people read",
    "homeprices/pricing/inputs.py": "the inputs",
    "homeprices/pricing/features.py": "the vocabulary of two inputs",
    "homeprices/data/listing.py": "what a listing is, and how it is cleaned",
    "homeprices/data/localities.py": "places of synthetic listings",
    "homeprices/data/regions.py": "parts of the city, for experiments",
    "homeprices/data/synthetic.py": "synthetic listings",
    "homeprices/data/columns.py": "columns of units of areas and prices",
    "homeprices/model/features_by_estimator.py": "what models compute from the inputs",
    "homeprices/tables/cells.py": "words of an availability",
    "homeprices/tables/quantities.py": "which numbers of a home go together",
    "homeprices/tables/units.py": "units of areas and prices, spellings of a size",
    "inference/frontend/doubts.js": "a slip of the unit",
    "inference/frontend/explain.js": "reasons of a price",
    "inference/frontend/main.js": "two names of elements of the form",
    "inference/frontend/money.js": "prices as people write them",
}
"""The files that know what is priced. Besides them, only texts of the form do (`index.html`, `messages.json`)."""

WORDS_OF_HOMES = re.compile(
    r"(?<![a-z])(bhk|bedrooms?|bath(room)?s?|balcon(y|ies)|societ(y|ies)|localit(y|ies)|sq ?ft|square (feet|met\w+)"
    r"|built-up|possession|lakhs?|crores?|rupees?|bangalore|whitefield)(?![a-z])",
    re.I,
)
STORED_NAMES = {"bedrooms", "rupees_per_sqft", "price_lakh", "bangalore_home_prices", "bangalore_home_prices_pipeline",
                "bangalore_home_prices_dag", mlflow_mirror.EARLIER_DESCRIPTION}  # fmt: skip
"""Names in stored data, settings and addresses, which stay whatever is priced."""


@cache
def told(path: Path) -> frozenset[str]:
    """The names and texts of a program; of a Python file without docstrings and comments, which may give examples."""
    if path.suffix != ".py":
        return frozenset(path.read_text(encoding="utf-8").splitlines())
    found = nodes(path)
    docstrings = {id(n.value) for n in found if isinstance(n, ast.Expr)}
    texts = [n.value for n in found if isinstance(n, ast.Constant) and id(n) not in docstrings]
    fields = ("id", "attr", "arg", "name")
    return frozenset(str(t) for t in [*texts, *(getattr(n, field, "") for n in found for field in fields)])


def test_only_the_declared_files_know_homes() -> None:
    scripts = (ROOT / "inference/frontend").glob("*.js")
    others = [ROOT / "homeprices/training/model_card.md.jinja", ROOT / "monitoring/operations/pages/operations.html"]
    programs = sources("homeprices", "inference", "router", "monitoring", "local", "dags", "compose")
    knowing = {
        relative(path)
        for path in [*programs, *scripts, *others]
        if any(WORDS_OF_HOMES.search(text.replace("_", " ")) for text in told(path) - STORED_NAMES)
    }
    assert knowing - KNOWS_HOMES.keys() == set()
    assert KNOWS_HOMES.keys() - knowing == set(), "too many"
