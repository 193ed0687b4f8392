"""`model.skops`: the fitted model for data scientists. skops loads named types only; nothing is unpickled.

skops is imported where it is used: its import looks every ufunc up in every module that is loaded, which takes twenty
seconds inside an Airflow task.
"""

from __future__ import annotations

from pathlib import Path

from homeprices.errors import BundleRefused
from homeprices.training.model import PriceModel

# Values of this project that make up a model, and parts of scikit-learn's estimators that skops does not vouch for by
# itself: arrays of tree nodes, and a dictionary.
TRUSTED = {
    "homeprices.training.model.PriceModel",
    "homeprices.training.area_table.AreaTable",
    "homeprices.training.spread.Spread",
    *(f"homeprices.training.design.{name}" for name in ("Design", "Log", "Lookup", "Number", "OneHot", "Ratio")),
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
}


def save(model: PriceModel, path: Path) -> None:
    """Write the model."""
    import skops.io

    skops.io.dump(model, path)


def load(path: Path) -> PriceModel:
    """The model in `path`. Raises BundleRefused when it holds any other type than those of a model."""
    import skops.io

    unknown = set(skops.io.get_untrusted_types(file=path)) - TRUSTED
    if unknown:
        raise BundleRefused(f"{path.name} holds types that are not trusted: {', '.join(sorted(unknown))}")
    model = skops.io.load(path, trusted=sorted(TRUSTED))
    if not isinstance(model, PriceModel):
        raise BundleRefused(f"{path.name} holds no model of prices")
    return model
