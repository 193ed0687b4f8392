"""`python -m homeprices.database`, which scripts and manifests outside this repository may call."""

from homeprices.adapters.database import main

if __name__ == "__main__":
    raise SystemExit(main())
