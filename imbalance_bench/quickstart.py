"""The first run of a new user: synthetic tissue, five methods, a report."""
