"""How many networks it takes to move a decision, and what the defences cost honest visitors."""
