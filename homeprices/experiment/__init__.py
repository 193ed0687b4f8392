"""The A/B test: evidence from the prediction log, statistics, policies, and the log of decisions."""
