"""Refuses to compare runs that were not trained under identical conditions.

How predictions that were made elsewhere were trained is unknown: they are paired by data, splits and images alone, and
a verdict says so.
"""

from collections.abc import Iterable

import numpy as np

from analysis.study.runs import RunData
from imbalance_bench.errors import UserError

# name of a digest -> section and key in the manifest
_DIGESTS = {
    "batches": ("pairing", "batches"),
    "initial weights": ("pairing", "initial_weights"),
    "splits": ("hashes", "splits"),
    "data": ("hashes", "data"),
}


def require_pairs(runs: Iterable[RunData], split: str) -> None:
    """Check that all runs of one model, fold and seed started alike and were scored on the same images.

    A run whose method has its own sampler may have other batches. For predictions that were made elsewhere, only
    splits, data and images are compared.

    Args:
        runs: Finished runs.
        split: The scored split.

    Raises:
        UserError: Two runs differ; the message names both and the digest. Exit code 1.
    """
    cells: dict[tuple[str, int, int], list[RunData]] = {}
    of_models: dict[str, list[RunData]] = {}
    for run in runs:
        cells.setdefault((run.model, run.fold, run.seed), []).append(run)
        of_models.setdefault(run.model, []).append(run)
    for members in of_models.values():
        _require_equal_encoders(members)
    for members in cells.values():
        for name in _DIGESTS:
            compared = [run for run in members if not (_DIGESTS[name][0] == "pairing" and run.is_foreign)]
            compared = [run for run in compared if name != "batches" or not own_sampler(run)]
            for run in compared[1:]:
                _require_equal(compared[0], run, name)
        for run in members[1:]:
            if not _scored_alike(run, members[0], split):
                raise UserError(_message(members[0], run, f"{split} images", "", ""), exit_code=1)


def own_sampler(run: RunData) -> bool:
    """Return whether the run's method draws its own batches."""
    return bool(run.manifest.get("pairing", {}).get("own_sampler", False))


def scored_images(run: RunData, split: str) -> set[str]:
    """Return the ids of the images of `split` that the run was scored on."""
    return set(run.counts.loc[run.counts["split"] == split, "image_id"])


def _scored_alike(run: RunData, other: RunData, split: str) -> bool:
    """Return whether two runs were scored on the same images; usually their rows are in the same order."""
    same = all(
        np.array_equal(run.counts[name].to_numpy(object), other.counts[name].to_numpy(object))
        for name in ("split", "image_id")
    )
    return same or scored_images(run, split) == scored_images(other, split)


def _require_equal(first: RunData, second: RunData, name: str) -> None:
    part, key = _DIGESTS[name]
    digests = [run.manifest.get(part, {}).get(key) for run in (first, second)]
    if digests[0] is None or digests[0] != digests[1]:
        raise UserError(
            _message(first, second, f"digest of {name}", *(_short(digest) for digest in digests)), exit_code=1
        )


def _require_equal_encoders(members: list[RunData]) -> None:
    """Refuse runs of one model on encoders that were resolved differently, or on other features.

    Runs are averaged over seeds and folds, so all of them must be equal; older records do not say.
    """
    recorded = [run for run in members if "encoders" in run.manifest]
    for run in recorded[1:]:
        if run.manifest["encoders"] != recorded[0].manifest["encoders"]:
            raise UserError(_message(recorded[0], run, "encoders", "", ""), exit_code=1)


def _short(digest: object) -> str:
    return "none" if digest is None else str(digest)[:12]


def _message(first: RunData, second: RunData, differing: str, first_value: str, second_value: str) -> str:
    values = f" ({first_value} and {second_value})" if first_value else ""
    return (
        f"Runs {first.run_id} ({first.method}) and {second.run_id} ({second.method}) of fold {first.fold}, "
        f"seed {first.seed} cannot be paired: their {differing} differ{values}. "
        "Delete the folder of the stale one and run the study again."
    )
