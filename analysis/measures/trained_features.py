"""Which cached features the runs of a study were trained on: their records say, and no others are measured."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from analysis.measures.cached_features import CachedFeatures, described_features, open_features
from analysis.study.runs import RunData
from imbalance_bench.data.caches import features_folder
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.run_ids import hash_name, models_of

IMAGES = "the runs were trained on images, not on cached features of a frozen encoder"
UNRECORDED = "the records are of an earlier version, which did not say on which features the runs were trained"
_GIVE = "Give `analyze` the --cache that `run` had"
_ANEW = "where they were deleted, running the study in another --out with that --cache makes them anew"


def trained_features(
    runs: Sequence[RunData], plan: Mapping[str, Any], cache_dir: Path, dataset: PreparedDataset, data_hash: str
) -> tuple[CachedFeatures | None, str]:
    """Open the features that the runs of a study were trained on.

    In a study of several models the first one whose runs read features counts, in the order of the plan. Some of its
    runs may be of an earlier version, which did not record features: any that are found will do.

    Args:
        runs: Finished runs, in the order of the plan.
        plan: Content of plan.json.
        cache_dir: The folder given to `run --cache`.
        dataset: The data set.
        data_hash: Its content hash.

    Returns:
        The features and "", or None and the reason why there are none.

    Raises:
        UserError: A store is damaged.
    """
    reason, model, tried = IMAGES, None, set[str]()
    for run in runs:
        if model not in (None, run.model):
            continue
        encoders = run.manifest.get("encoders")
        if encoders is None:
            description = _earlier_description(run, plan, data_hash)
            if description is None:
                reason = reason if _read_images(run, plan) else UNRECORDED
                continue
            what = f"features of {description['encoder'][0]} as the plan describes them. {_GIVE}"
            find = partial(described_features, cache_dir, dataset, description)
        else:
            keys = [encoder["features"] for encoder in encoders]
            if None in keys:
                continue
            folders = ", ".join(map(features_folder, keys))
            what = f"the features that the runs were trained on ({folders}). {_GIVE}; {_ANEW}"
            find = partial(open_features, cache_dir, dataset, keys)
        model = run.model
        if what in tried:
            continue
        tried.add(what)
        if (found := find()) is not None:
            return found, ""
        reason = f"{cache_dir} does not hold {what}"
    return None, reason


def _planned_model(run: RunData, plan: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return label and settings of the model of a run; no settings where the plan does not hold them."""
    models = models_of(plan)
    label = run.model if run.model in models else None
    return label, models.get(label, {})


def _read_images(run: RunData, plan: Mapping[str, Any]) -> bool:
    """Return whether the plan says that a run was trained on images."""
    model = _planned_model(run, plan)[1]
    return bool(model) and not (
        model["encoder_frozen"] and plan["identity"]["training"]["augmentation"]["cached_views"]
    )


def _earlier_description(run: RunData, plan: Mapping[str, Any], data_hash: str) -> dict[str, Any] | None:
    """Describe the features of a run that did not record their key, as the cache of its version described them.

    Returns:
        None where it read images, has several encoders, or its plan says too little.
    """
    label, model = _planned_model(run, plan)
    if not model or not isinstance(model["encoder"], str) or _read_images(run, plan):
        return None
    tiling = plan["identity"]["dataset"]
    return {
        "data": data_hash,
        "tiling": [tiling["tile_px"], tiling["stride_px"]],
        "encoder": [model["encoder"], plan["hashes"][hash_name(label)]],
        "architecture": None if model["architecture"] == "class_query" else model["architecture"],
        **{key: model.get(f"encoder_{key}") for key in ("kwargs", "scale", "features", "mean", "std")},
    }
