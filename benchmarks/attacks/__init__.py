"""Simulated attacks: how many networks change a decision, and the cost of the defences for honest visitors."""
