"""Test images of a run that keep what is not kept for each of them, and how a predicted mask is written."""

from functools import partial

import numpy as np
from PIL import Image

from imbalance_bench.manifest import write_atomically
from imbalance_bench.records import RunRecord
from imbalance_bench.seeding import generator


def panel(image_ids: tuple[str, ...], limit: int) -> list[str]:
    """Return test images for what is not done for each: all, or a draw that depends on nothing but their number."""
    if len(image_ids) <= limit:
        return list(image_ids)
    chosen = generator(0, "panel").permutation(len(image_ids))[:limit]
    return [image_ids[i] for i in sorted(chosen)]


def write_prediction(record: RunRecord, image_id: str, predicted: np.ndarray) -> None:
    """Write a predicted mask, (H, W) uint8 class ids, as a grey PNG."""
    image = Image.fromarray(predicted, mode="L")
    write_atomically(record.prediction_path(image_id), partial(image.save, format="PNG"))
