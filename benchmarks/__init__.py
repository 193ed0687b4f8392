"""Benchmarks against the alternatives of a user.

`make bench` runs those of serving and writes benchmarks/RESULTS.md.
"""
