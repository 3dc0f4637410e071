"""Write golden.json: what the reference implementations give for the masks of `masks.py`.

Oracles, run outside of this repository and not needed by the tests:
- boundary IoU: bowenc0221/boundary-iou-api, commit 37d25586, `mask_to_boundary` (with OpenCV's erosion);
- surface Dice and 95 % Hausdorff distance: google-deepmind/surface-distance, commit 1f805cea,
  `compute_surface_distances`, `compute_surface_dice_at_tolerance`, `compute_robust_hausdorff`.

    python tests/runner/boundary_golden/generate.py BOUNDARY_IOU_API SURFACE_DISTANCE

with the paths of two checkouts, where opencv-python-headless is installed. Names that NumPy and SciPy have dropped
since (`np.Inf`, `ndimage.filters`, `ndimage.morphology`) are put back while the references run; pycocotools, which
`mask_to_boundary` does not use, may be missing.
"""

import json
import sys
import types
from importlib import import_module
from pathlib import Path

import numpy as np
from masks import Case, cases
from scipy import ndimage

SHARES = (0.02, 0.05)  # of the diagonal
SPACINGS_UM = ((0.25, 0.25), (0.5, 0.5), (0.2, 0.5), (1.0, 0.3))  # height, width of a pixel
TOLERANCES_UM = (0.5, 1.0, 2.0)


def main() -> None:
    """Write golden.json beside this file."""
    sys.path[:0] = sys.argv[1:3]
    np.__dict__["Inf"] = np.inf
    ndimage.__dict__.update(filters=ndimage, morphology=ndimage)
    for name in ("pycocotools", "pycocotools.mask"):
        sys.modules.setdefault(name, types.ModuleType(name))
    golden = {name: {"boundary_iou": _boundary_iou(case), "surface": _surface(case)} for name, case in cases().items()}
    Path(__file__).with_name("golden.json").write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


def _boundary_iou(case: Case) -> list[dict]:
    reference = import_module("boundary_iou.utils.boundary_utils")
    found = []
    for share in SHARES:
        true, predicted = (reference.mask_to_boundary(mask.astype(np.uint8), share).astype(bool) for mask in case)
        shared, either = int((true & predicted).sum()), int((true | predicted).sum())
        found.append({"share": share, "intersection": shared, "union": either})
    return found


def _surface(case: Case) -> list[dict]:
    metrics = import_module("surface_distance.metrics")
    found = []
    for spacing in SPACINGS_UM:
        distances = metrics.compute_surface_distances(*case, spacing_mm=spacing)
        dice = [float(metrics.compute_surface_dice_at_tolerance(distances, far)) for far in TOLERANCES_UM]
        lengths = [float(distances[f"surfel_areas_{side}"].sum()) for side in ("gt", "pred")]
        far = float(metrics.compute_robust_hausdorff(distances, 95)) if all(lengths) else None
        found.append({"spacing_um": spacing, "tolerance_um": TOLERANCES_UM, "dice": dice})
        found[-1] |= {"length_um": sum(lengths), "hausdorff_95_um": far}
    return found


if __name__ == "__main__":
    main()
