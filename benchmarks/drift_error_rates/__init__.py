"""Alarm rates of the drift detector and of common rules, with and without drift, simulated on real listings."""
