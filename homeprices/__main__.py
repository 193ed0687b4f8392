"""`python -m homeprices`: the command `homeprices`, where no script of that name is installed."""

from homeprices.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
