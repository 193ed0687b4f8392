"""What this project adds to Airflow's API server."""
