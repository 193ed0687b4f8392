"""The outside world, one file for each system: bucket, database, MLflow, Airflow, notifications."""
