"""Tuning: the same number of trials for every method, chosen on validation images, before the study itself."""
