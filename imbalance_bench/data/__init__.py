"""Prepared data sets: reading and checking them, merging classes, splitting, tiling, counting, caching. Never torch."""
