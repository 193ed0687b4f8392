"""How often the detectors alarm, with and without drift, beside the usual rules: by simulation on real listings."""
