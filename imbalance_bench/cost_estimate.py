"""What a study will take: time and disk, from its finished runs, or else from a model that is timed for a moment.

Linear in the number of runs; nothing of a run is read but the manifest and, of a few, the size of its folder.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
import torch

from imbalance_bench.data.tiling import tile_image
from imbalance_bench.models.timing import ModelTimes, time_model
from imbalance_bench.records import RunRecord
from imbalance_bench.study import PlannedRun, Study
from imbalance_bench.training.run import planned_steps

EVALUATION_PASSES = 6  # predictions that the evaluation of an image takes as long as: measured 5 to 7
TABLE_BYTES = 120_000  # tables of a run's records beside its weights
PICTURE_BYTES_PX = 0.2  # mask and attention map of a kept prediction, bytes per pixel
ADAM = 3  # a checkpoint holds trained weights and two moments of each
MOST_READ = 60  # finished runs from which rates are taken
FACTOR = {"finished runs": 1.3, "a timed model": 2.0}  # within which the truth is expected; docs/performance.md


@dataclass(frozen=True)
class CostEstimate:
    """Time and disk of what is not done yet.

    Args:
        seconds: With all workers.
        encode_seconds: Of these, encoding tiles before the first run.
        workers: Runs at a time.
        tile_bytes: Cached tiles.
        feature_bytes: Cached features.
        record_bytes: Records of the runs.
        checkpoint_bytes: Checkpoints while they run.
        basis: What the time rests on, a key of FACTOR.
        n_basis: Finished runs that were read.
    """

    seconds: float
    encode_seconds: float
    workers: int
    tile_bytes: int
    feature_bytes: int
    record_bytes: int
    checkpoint_bytes: int
    basis: str
    n_basis: int

    def lines(self) -> list[str]:
        """Return what is to be expected, two sentences."""
        factor = FACTOR[self.basis]
        source = f"{self.n_basis} finished runs" if self.n_basis else "one model timed for a moment"
        spent = f", {duration(self.encode_seconds)} of it for encoding what is not cached yet"
        encoded = spent if self.encode_seconds >= 1 else ""
        at_a_time = f"{self.workers} run{'s' if self.workers > 1 else ''} at a time"
        features = f"{size(self.tile_bytes)} of tiles and {size(self.feature_bytes)} of features in the cache"
        return [
            f"time: about {duration(self.seconds)} with {at_a_time}{encoded} (from {source}; expect "
            f"{duration(self.seconds / factor)} to {duration(self.seconds * factor)})",
            f"disk: {features}, {size(self.record_bytes)} of records, {size(self.checkpoint_bytes)} of checkpoints "
            "while runs are trained",
        ]


def estimate_cost(study: Study, waiting: Sequence[PlannedRun], workers: int, device: torch.device) -> CostEstimate:
    """Estimate what the waiting runs of a study will take.

    Args:
        study: The checked study.
        waiting: Its runs that are not done.
        workers: Runs at a time.
        device: Where they execute.
    """
    tiles = _tiles_of_images(study)
    folds = [_Fold.of(study, number, tiles) for number in range(len(study.splits.folds))]
    measured = _Measured.of(study, device)
    models = {run.model.label: run.model for run in waiting}
    times = {
        label: time_model(study.config.only(model), len(study.taxonomy), device) for label, model in models.items()
    }
    encode, features = _encoding(study, times, tiles)
    seconds, record_bytes, all_measured = [], 0.0, bool(measured.rates)
    for run in waiting:
        steps, fold, model = planned_steps(study, run), folds[run.fold], times[run.model.label]
        own = measured.seconds(run, steps)
        all_measured = all_measured and own is not None
        passes = ceil(steps / study.config.training.validate_every) * fold.val_tiles
        passes += EVALUATION_PASSES * (fold.val_tiles + fold.test_tiles)
        seconds.append(steps * model.step_s + passes * model.tile_s if own is None else own)
        record_bytes += measured.bytes_of_run or model.model_bytes + TABLE_BYTES + PICTURE_BYTES_PX * fold.kept_pixels
    busy = max(1, min(workers, len(waiting)))
    together = max(sum(seconds) / busy, max(seconds, default=0.0))
    checkpoint = max(
        (model_times.model_bytes + ADAM * model_times.trained_bytes for model_times in times.values()), default=0
    )
    return CostEstimate(
        seconds=together + encode,
        encode_seconds=encode,
        workers=busy,
        tile_bytes=4 * study.config.dataset.tile_px**2 * sum(tiles.values()),
        feature_bytes=features,
        record_bytes=round(record_bytes),
        checkpoint_bytes=busy * checkpoint,
        basis="finished runs" if all_measured else "a timed model",
        n_basis=measured.n if all_measured else 0,
    )


@dataclass(frozen=True)
class _Fold:
    """What one run of a fold looks at.

    Args:
        val_tiles: Tiles that are validated on.
        test_tiles: Tiles that are tested on.
        kept_pixels: Pixels of the test images whose predictions are kept.
    """

    val_tiles: int
    test_tiles: int
    kept_pixels: int

    @classmethod
    def of(cls, study: Study, number: int, tiles: Mapping[str, int]) -> "_Fold":
        """Count a fold."""
        fold = study.splits.folds[number]
        saved = [study.dataset.entry(image_id) for image_id in fold.test[: study.config.compute.saved_predictions]]
        val, test = (sum(tiles[image_id] for image_id in part) for part in (fold.val, fold.test))
        return cls(val, test, sum(entry.height_px * entry.width_px for entry in saved))


@dataclass(frozen=True)
class _Measured:
    """What finished runs of the study took on such a device.

    Args:
        rates: (method, model) -> seconds per step, evaluation included.
        bytes_of_run: Mean size of a run's folder; 0 without one.
        n: Runs that were read.
    """

    rates: Mapping[tuple[str, str | None], float]
    bytes_of_run: float
    n: int

    @classmethod
    def of(cls, study: Study, device: torch.device) -> "_Measured":
        """Read the cost of finished runs, at most MOST_READ."""
        rates: dict[tuple[str, str | None], list[float]] = defaultdict(list)
        sizes: list[int] = []
        for run in study.runs:
            if len(sizes) == MOST_READ:
                break
            record = study.records.run(run.run_id)
            cost = _cost(record)
            if cost is not None and cost[1] == device.type:
                rates[run.method.label, run.model.label].append(cost[0])
                sizes.append(_folder_bytes(record.path))
        mean = float(np.mean(sizes)) if sizes else 0.0
        return cls({key: float(np.median(values)) for key, values in rates.items()}, mean, len(sizes))

    def seconds(self, run: PlannedRun, steps: int) -> float | None:
        """Return what a run takes by the runs of its method, or else of its model; None where there are none."""
        own = self.rates.get((run.method.label, run.model.label))
        alike = [rate for (_, model), rate in self.rates.items() if model == run.model.label]
        rate = own if own is not None else float(np.median(alike)) if alike else None
        return None if rate is None else rate * steps


def _cost(record: RunRecord) -> tuple[float, str] | None:
    """Return seconds per step and the kind of device of a finished run; None of any other."""
    path = record.path / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        steps, seconds = int(manifest["cost"]["steps"]), float(manifest["cost"]["seconds"])
        kind = str(manifest["environment"]["device"]).partition(":")[0]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (seconds / steps, kind) if steps > 0 else None


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _tiles_of_images(study: Study) -> dict[str, int]:
    """Return the number of tiles of each image."""
    section = study.config.dataset
    return {
        entry.image_id: len(tile_image(entry.height_px, entry.width_px, section.tile_px, section.stride_px))
        for entry in study.dataset.entries
    }


def _encoding(study: Study, times: Mapping[str | None, ModelTimes], tiles: Mapping[str, int]) -> tuple[float, int]:
    """Return seconds and bytes of the features of all models; what a cache already holds is not taken off."""
    trained = {image_id for fold in study.splits.folds for image_id in fold.train}
    views = max(study.config.training.augmentation.cached_views, 1)
    rows = sum(n * (views if image_id in trained else 1) for image_id, n in tiles.items())
    encode = sum(model_times.encode_s for model_times in times.values()) * rows
    return encode, sum(model_times.feature_bytes for model_times in times.values()) * rows


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def size(n_bytes: float) -> str:
    """Write a number of bytes in the unit that suits it."""
    mib = n_bytes / 2**20
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib:.0f} MiB" if mib >= 1 else f"{n_bytes / 1024:.0f} KiB"
