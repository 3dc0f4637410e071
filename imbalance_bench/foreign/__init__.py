"""Predictions that were made elsewhere: found, read, checked, and scored into the records of a study."""
