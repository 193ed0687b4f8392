"""The HTTP service that prices homes, run once for production and once for the candidate."""
