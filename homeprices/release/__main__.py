"""`python -m homeprices.release` is `homeprices release`, for scripts that call it by this name."""

import sys

from homeprices.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["release", *sys.argv[1:]]))
