"""`python -m homeprices.drift` is `homeprices drift`, for scripts that call it by this name."""

import sys

from homeprices.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["drift", *sys.argv[1:]]))
