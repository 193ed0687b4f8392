"""`python -m homeprices.data` is `homeprices data`, for scripts that call it by this name."""

import sys

from homeprices.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["data", *sys.argv[1:]]))
