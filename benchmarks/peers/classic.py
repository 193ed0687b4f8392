"""The classic design that this project's service replaces: a pickled scikit-learn model, and two inserts a request.

It has the most favourable setup: each thread keeps a connection, and both inserts share a transaction.
"""

import os
import pickle
import threading
import time
from pathlib import Path

import pandas as pd
import psycopg2
from flask import Flask, jsonify, request

app = Flask(__name__)
model = pickle.loads(Path(os.environ["MODEL"]).read_bytes())  # noqa: S301
local = threading.local()
TABLES = """
    CREATE TABLE IF NOT EXISTS classic_predictions (id bigserial PRIMARY KEY, ts timestamptz DEFAULT now(),
        total_sqft float, location text, bhk int, bath int, estimate float);
    CREATE TABLE IF NOT EXISTS classic_metrics (id bigserial PRIMARY KEY, ts timestamptz DEFAULT now(),
        milliseconds float, model text);
"""


def connection():
    """This thread's connection."""
    if not hasattr(local, "connection"):
        local.connection = psycopg2.connect(os.environ["DSN"])
    return local.connection


with psycopg2.connect(os.environ["DSN"]) as once, once.cursor() as cursor:
    cursor.execute(TABLES)


@app.post("/api/predict_home_price")
def predict():
    """An estimate, stored before it is sent."""
    started = time.perf_counter()
    home = request.get_json()
    row = {name: home[name] for name in ("total_sqft", "location", "bhk", "bath")}
    price = round(float(model.predict(pd.DataFrame([row]))[0]), 2)
    milliseconds = (time.perf_counter() - started) * 1000
    with connection() as transaction, transaction.cursor() as cursor:
        cursor.execute(
            "INSERT INTO classic_predictions (total_sqft, location, bhk, bath, estimate) VALUES (%s, %s, %s, %s, %s)"
            " RETURNING id",
            (*row.values(), price),
        )
        number = cursor.fetchone()[0]
        cursor.execute("INSERT INTO classic_metrics (milliseconds, model) VALUES (%s, %s)", (milliseconds, "BO1"))
    return jsonify(estimated_price=price, prediction_id=number, response_time_ms=milliseconds)
