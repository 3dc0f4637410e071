"""What counts as primary when a learned bias is explained: fixed before training and hashed into every plan."""

PRIMARY_MEASURES = {
    "frequency": "pixel_share",
    "boundary": "border_stain_overlap",
    "morphology": "shape_dispersion",
    "context": "nearest_rival_overlap",
}
CONSTRUCTS = tuple(PRIMARY_MEASURES)
PRIMARY_ESTIMANDS = ("change", "effective_offset")

# plans written before these could be chosen do not name them, and mean the values that the software then had
INERTIA_KEPT = 0.5
LARGEST_VIF = 5.0
LATER_CHOICES = {"inertia_kept": INERTIA_KEPT, "largest_vif": LARGEST_VIF, "hypotheses": ()}


def primary_choices() -> dict[str, object]:
    """Return the part of the analysis plan that the software fixes, as plain JSON."""
    return {"primary_measures": dict(PRIMARY_MEASURES), "primary_estimands": list(PRIMARY_ESTIMANDS)}


def without_later_choices(plan: dict[str, object]) -> dict[str, object]:
    """Return an analysis plan as an older version would have written it, if it says the same."""
    return {key: value for key, value in plan.items() if key not in LATER_CHOICES or not _as_before(key, value)}


def _as_before(key: str, value: object) -> bool:
    """Say whether a later choice is what the software did before there was one; JSON has lists for tuples."""
    before = LATER_CHOICES[key]
    return (
        list(value) == list(before)
        if isinstance(value, (list, tuple)) and isinstance(before, tuple)
        else value == before
    )
