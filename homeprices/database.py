"""`python -m homeprices.database` is `homeprices database`, for scripts that call it by this name."""

import sys

from homeprices.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["database", *sys.argv[1:]]))
