"""The bare Flask application that answers a constant: what Flask and gunicorn cost, and nothing else."""

from flask import Flask

app = Flask(__name__)


@app.post("/api/predict_home_price")
def predict() -> dict[str, float]:
    """A constant."""
    return {"estimated_price": 69.91}
