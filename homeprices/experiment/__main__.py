"""`python -m homeprices.experiment` is `homeprices experiment`, for scripts that call it by this name."""

import sys

from homeprices.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["experiment", *sys.argv[1:]]))
