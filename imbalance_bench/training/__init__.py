"""One run: its model, its batches, its loop, its records."""
