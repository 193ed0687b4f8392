"""Drift detection: two-sample tests of live traffic or files against the training data of a bundle."""
