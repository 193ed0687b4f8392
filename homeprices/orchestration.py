"""`python -m homeprices.orchestration`, which scripts and manifests outside this repository may call."""

from homeprices.adapters.airflow_client import main

if __name__ == "__main__":
    raise SystemExit(main())
