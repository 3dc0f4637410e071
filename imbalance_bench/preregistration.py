"""What counts as primary when a learned bias is explained: fixed before training and hashed into every plan."""

PRIMARY_MEASURES = {
    "frequency": "pixel_share",
    "boundary": "border_stain_overlap",
    "morphology": "shape_dispersion",
    "context": "nearest_rival_overlap",
}
PRIMARY_ESTIMANDS = ("change", "effective_offset")


def primary_choices() -> dict[str, object]:
    """Return the part of the analysis plan that the software fixes, as plain JSON."""
    return {"primary_measures": dict(PRIMARY_MEASURES), "primary_estimands": list(PRIMARY_ESTIMANDS)}
