"""From integer counts to scores: metrics, units, pairs of methods, boundary scores and predicted probabilities."""
