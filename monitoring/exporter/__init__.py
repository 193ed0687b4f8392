"""Prometheus exporter for bucket, database, Airflow, MLflow and disk."""
