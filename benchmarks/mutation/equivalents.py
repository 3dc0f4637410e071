"""Mutants that no test can kill, because they compute the same: file::where, before, after -> the reason."""

OVERLAP = "methods/overlap.py::"
GENERALISED = OVERLAP + "GeneralisedDice.overlap_term"
SCALE = "the weights are relative to one class: its choice cancels in the ratio, but for a smoothing of 1e-5 pixels"
MASKED = "only classes without pixels are affected, and `where` discards them; integer counts have no gradient"

EQUIVALENT: dict[tuple[str, str, str], str] = {
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
}
