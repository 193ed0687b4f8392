"""FastAPI with scikit-learn, as in its tutorials: a pydantic body, a DataFrame of one row, no log."""

import os
import pickle
from pathlib import Path

import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = pickle.loads(Path(os.environ["MODEL"]).read_bytes())  # noqa: S301


class Home(BaseModel):
    """The four fields of the form."""

    total_sqft: float
    location: str
    bhk: int
    bath: int


@app.post("/api/predict_home_price")
def predict(home: Home) -> dict[str, float]:
    """An estimate."""
    return {"estimated_price": round(float(model.predict(pd.DataFrame([home.model_dump()]))[0]), 2)}
