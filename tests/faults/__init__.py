"""Faults done on purpose, one of each kind; `benchmarks.faults` does thousands."""
