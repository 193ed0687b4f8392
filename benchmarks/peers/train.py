"""`python train.py LISTINGS FOLDER`: the usual scikit-learn pipeline, fitted in the peer's own environment.

Writes `model.pkl` (one-hot locations and the numbers, linear regression), and the same model for mlflow.
"""

import pickle
import sys
from pathlib import Path

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

COLUMNS = ["total_sqft", "location", "bhk", "bath"]


def main(listings: str, folder: str) -> None:
    """Fit, and write."""
    rows = pd.read_csv(listings)
    homes, prices = rows[COLUMNS], rows["price"]
    one_hot = ColumnTransformer(
        [("location", OneHotEncoder(handle_unknown="ignore"), ["location"])], remainder="passthrough"
    )
    model = make_pipeline(one_hot, LinearRegression()).fit(homes, prices)
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.pkl").write_bytes(pickle.dumps(model))
    try:
        import mlflow.sklearn
    except ImportError:
        return
    mlflow.sklearn.save_model(model, out / "mlflow", serialization_format="pickle", input_example=homes.head(1))


if __name__ == "__main__":
    main(*sys.argv[1:])
