"""Benchmarks: ratios inside one run. `python -m tests.benchmarks` runs all and prints a table."""
