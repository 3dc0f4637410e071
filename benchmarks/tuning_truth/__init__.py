"""What tuning finds on trained models where the truth was planted; `python -m benchmarks.tuning_truth`."""
