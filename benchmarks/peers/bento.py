"""BentoML with scikit-learn: a service of one worker, no log."""

import os
import pickle
from pathlib import Path

import bentoml
import pandas as pd


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Prices:
    """Prices homes."""

    def __init__(self) -> None:
        self.model = pickle.loads(Path(os.environ["MODEL"]).read_bytes())  # noqa: S301

    @bentoml.api
    def predict(self, total_sqft: float, location: str, bhk: int, bath: int) -> dict[str, float]:
        """An estimate."""
        row = {"total_sqft": total_sqft, "location": location, "bhk": bhk, "bath": bath}
        return {"estimated_price": round(float(self.model.predict(pd.DataFrame([row]))[0]), 2)}
