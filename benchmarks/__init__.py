"""Side by side with what a user would pick instead: `make bench` measures, and writes benchmarks/RESULTS.md."""
