"""Whether what visitors ask for is still what the model has learned from."""
