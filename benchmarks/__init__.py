"""Benchmarks and studies: `python -m benchmarks.NAME` measures and prints a table."""
