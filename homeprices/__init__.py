"""The library that the DAGs and the services share. It imports neither Airflow nor Flask."""
