"""The way of a new candidate to its trial: the shadow comparison, the comparison on the hold-out, publication."""
