"""`python -m homeprices.orchestration` is `homeprices airflow`, for scripts that call it by this name."""

import sys

from homeprices.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["airflow", *sys.argv[1:]]))
