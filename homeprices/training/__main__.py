"""`python -m homeprices.training` is `homeprices training`, for scripts that call it by this name."""

import sys

from homeprices.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["training", *sys.argv[1:]]))
