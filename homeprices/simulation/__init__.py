"""Whole experiments, simulated: visitors, interim looks, outcomes."""
