"""A bare Flask application that returns a constant: the cost of Flask and gunicorn alone."""

from flask import Flask

app = Flask(__name__)


@app.post("/api/predict_home_price")
def predict() -> dict[str, float]:
    """A constant."""
    return {"estimated_price": 69.91}
