"""Faults of every kind, done on purpose: see `__main__`."""
