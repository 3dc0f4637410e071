"""Tests, intervals and models on plain arrays. Nothing here knows a study, a class name or a file."""
