"""Mutants that no test can kill, because they compute the same: file::where, before, after -> the reason."""

OVERLAP = "methods/overlap.py::"
GENERALISED = OVERLAP + "GeneralisedDice.overlap_term"
SCALE = "the weights are relative to one class: its choice cancels in the ratio, but for a smoothing of 1e-5 pixels"
REWEIGHTING = "methods/reweighting.py::"
SAMPLING = "methods/sampling.py::"
TO_MEAN_ONE = "weights are scaled to mean 1: a factor that all classes share cancels"
NEVER_EQUAL = "a uniform random number equals its bound with probability 0"
MASKED = "only classes without pixels are affected, and `where` discards them; integer counts have no gradient"

PASTE = "methods/copy_paste.py::"
MEAN = "methods/cross_entropy.py::weighted_mean_over_valid"

EQUIVALENT: dict[tuple[str, str, str], str] = {
    ("methods/regions.py::scatter_sum", "1", "2"): "one more sum than needed, cut off with the other",
    ("methods/regions.py::nearest_components", "1", "2"): "no class is negative, whichever number stands for none",
    (
        "methods/boundary.py::BoundaryLossConfig.build",
        "0",
        "1",
    ): "a weight that grows over one step is constant",
    (PASTE + "rarity_weights", "1.0", "2.0"): "stands in for classes without pixels, whose weight becomes 0",
    (
        PASTE + "ClassCopyPaste.__call__",
        "rng.random(size) < self.config.probability",
        "rng.random(size) <= self.config.probability",
    ): NEVER_EQUAL,
    (
        PASTE + "ClassCopyPaste.__call__",
        "int(crop) + distance",
        "int(crop) - distance",
    ): "every distance from 1 to n - 1 is as likely, and so is its opposite",
    (MEAN, "1.0", "2.0"): "divides a sum of weights that are all 0",
    (
        "methods/pixel_difficulty.py::hardest_first",
        "ranked >= 0",
        "ranked > 0",
    ): "0 stays 0",
    (
        OVERLAP + "power_of_error",
        "error > SMALLEST_ERROR",
        "error >= SMALLEST_ERROR",
    ): "the error is never 1e-16 exactly",
    (
        GENERALISED,
        "torch.where(occurs, labelled, labelled.sum().clamp(min=1)).min()",
        "torch.where(occurs, labelled, labelled.sum().clamp(min=1)).max()",
    ): SCALE,
    (GENERALISED, "labelled.sum().clamp(min=1)", "labelled.sum()"): MASKED,
    (GENERALISED, "labelled.clamp(min=1)", "labelled"): MASKED,
    (REWEIGHTING + "InverseFrequencyConfig.weights", "1", "2"): TO_MEAN_ONE,
    (REWEIGHTING + "effective_number_weights", "1 - beta", "1"): TO_MEAN_ONE,
    (
        REWEIGHTING + "effective_number_weights",
        "-math.inf",
        "math.inf",
    ): "only beta 0 gets there: all weights are then the same number, or all 0, which become 1",
    (
        SAMPLING + "RepeatFactorSampler.draw",
        "rng.random(len(factor)) < factor % 1",
        "rng.random(len(factor)) <= factor % 1",
    ): NEVER_EQUAL,
    (
        SAMPLING + "ClassPresentSampler.draw",
        "rng.random(n_tiles) < self.share",
        "rng.random(n_tiles) <= self.share",
    ): NEVER_EQUAL,
}
