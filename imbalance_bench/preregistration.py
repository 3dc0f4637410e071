"""What counts as primary when a learned bias is explained: fixed before training and hashed into every plan."""

from collections.abc import Mapping
from typing import Any

PRIMARY_MEASURES = {
    "frequency": "pixel_share",
    "boundary": "border_stain_overlap",
    "morphology": "shape_dispersion",
    "context": "nearest_rival_overlap",
}
CONSTRUCTS = tuple(PRIMARY_MEASURES)
# every measure that a plan may make the primary one of its construct: those that need no trained model
MEASURES = {
    "frequency": ("pixel_share", "image_share", "group_share", "components_per_image"),
    "boundary": (
        *("border_stain_overlap", "border_haematoxylin_overlap", "border_eosin_overlap", "edge_strength"),
        *("border_exposure", "perimeter_per_area", "perimeter_over_disk"),
    ),
    "morphology": (
        *("shape_dispersion", "log_area_spread", "compactness_spread", "eccentricity_spread", "solidity_spread"),
        *("median_eccentricity", "median_solidity", "hu_dispersion", "fourier_variance", "fractal_dimension"),
    ),
    "context": (
        *("nearest_rival_overlap", "rival_stain_overlap", "adjacent_stain_overlap", "adjacency_entropy", "silhouette"),
    ),
}
OF_FEATURES = ("nearest_rival_overlap", "silhouette")  # compare the features of a frozen encoder
PRIMARY_ESTIMANDS = ("change", "effective_offset")

# plans written before these could be chosen do not name them, and mean the values that the software then had
INERTIA_KEPT = 0.5
LARGEST_VIF = 5.0
LATER_CHOICES = {"inertia_kept": INERTIA_KEPT, "largest_vif": LARGEST_VIF, "hypotheses": ()}


def primary_choices(chosen: Mapping[Any, str]) -> dict[str, object]:
    """Return the primary measures and estimands of a plan, as plain JSON.

    Args:
        chosen: Construct -> the measure that the study file makes its primary one.
    """
    return {"primary_measures": PRIMARY_MEASURES | dict(chosen), "primary_estimands": list(PRIMARY_ESTIMANDS)}


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
