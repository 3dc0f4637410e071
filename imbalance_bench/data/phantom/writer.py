"""Draw the images of a phantom data set and leave them on disk as a prepared data set with its truth beside it."""

import csv
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from imbalance_bench.data.phantom.blending import survey
from imbalance_bench.data.phantom.layout import UNLABELLED_ID, lay_out
from imbalance_bench.data.phantom.plan import IMAGE_STREAM, ImagePlan, plan_images, stream
from imbalance_bench.data.phantom.spec import PhantomSpec
from imbalance_bench.data.phantom.stain import develop, draw_slide
from imbalance_bench.data.phantom.textures import grow_tissue
from imbalance_bench.errors import UserError
from imbalance_bench.worker_pool import worker_pool

PNG_COMPRESSION = 1
TRUTH_FILE = "truth.csv"
INSTANCE_COLUMNS = ("image_id", "instance_id", "class", "area_px", "top", "left", "bottom", "right", "touches_border")
INDEX_COLUMNS = ("image_id", "group_id", "split", "height_px", "width_px")
TRUTH_COLUMNS = (
    "class_id",
    "class",
    "texture",
    "share",
    "ambiguity",
    "morphology",
    "context",
    "rival",
    "measured_share",
    "planted_regions",
)


@dataclass(frozen=True)
class Drawing:
    """What is counted while an image is drawn: labelled pixels per class (K,), and its instances."""

    image_id: str
    pixels: NDArray[np.int64]
    instances: list[tuple[Any, ...]]


def draw_image(spec: PhantomSpec, plan: ImagePlan) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one planned image.

    Args:
        spec: The data set.
        plan: The image.

    Returns:
        RGB image (H, W, 3) uint8 and labels (H, W) uint8.
    """
    place, shade, grow, scan = stream(spec, IMAGE_STREAM, plan.index).spawn(4)
    layout = lay_out(spec, plan, place)
    terrain = survey(spec, layout, shade)
    haematoxylin, eosin = grow_tissue(spec, terrain, grow)
    image = develop(draw_slide(spec, plan.group_index), haematoxylin, eosin, spec.mpp_um, scan)
    return image, layout.labels


def generate_phantom(
    spec: PhantomSpec, dest: Path, *, workers: int = 1, on_progress: Callable[[int, int], None] | None = None
) -> Path:
    """Write a phantom data set; the bytes depend on the specification only, not on `workers`.

    Args:
        spec: What to draw.
        dest: Folder to create; may exist when empty.
        workers: Processes that draw images.
        on_progress: Called with (images done, images in all) after each image.

    Returns:
        `dest`.

    Raises:
        UserError: `dest` exists and is not empty, or `workers` is less than 1.
    """
    dest = Path(dest)
    if workers < 1:
        raise UserError(f"`workers` must be at least 1. Got {workers}. Use 1 to draw in this process.")
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise UserError(f"{dest} exists and is not an empty folder. Choose another destination or remove it first.")
    dest.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{dest.name}-", dir=dest.parent))
    try:
        _write_dataset(spec, building, workers, on_progress)
        building.chmod(0o777 & ~_umask())
        if dest.exists():
            dest.rmdir()
        building.rename(dest)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return dest


def _umask() -> int:
    """Return the process's file mode creation mask; the system can only tell it by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write_dataset(
    spec: PhantomSpec, folder: Path, workers: int, on_progress: Callable[[int, int], None] | None
) -> None:
    """Write every file of the data set into an existing folder."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    plans = plan_images(spec)
    drawings = []
    for drawing in _draw_all(spec, plans, folder, workers):
        drawings.append(drawing)
        if on_progress is not None:
            on_progress(len(drawings), len(plans))
    _write_yaml(folder / "dataset.yaml", _describe(spec))
    _write_yaml(folder / "phantom.yaml", spec.model_dump(mode="json"))
    side = spec.size_px
    _write_csv(folder / "index.csv", INDEX_COLUMNS, [(p.image_id, p.group_id, p.split, side, side) for p in plans])
    _write_csv(folder / TRUTH_FILE, TRUTH_COLUMNS, _truth_rows(spec, plans, drawings))
    _write_csv(folder / "instances.csv", INSTANCE_COLUMNS, [row for d in drawings for row in d.instances])


def _draw_all(spec: PhantomSpec, plans: list[ImagePlan], folder: Path, workers: int) -> Iterator[Drawing]:
    """Draw and save all images, in order, in this process or in several."""
    draw = partial(_draw_and_save, spec, folder)
    if workers == 1 or len(plans) == 1:
        yield from map(draw, plans)
        return
    with worker_pool(min(workers, len(plans))) as pool:
        yield from pool.map(draw, plans, chunksize=2)


def _draw_and_save(spec: PhantomSpec, folder: Path, plan: ImagePlan) -> Drawing:
    """Draw one image, save it and its mask, and count what it holds."""
    image, labels = draw_image(spec, plan)
    for name, pixels in (("images", image), ("masks", labels)):
        Image.fromarray(pixels).save(folder / name / f"{plan.image_id}.png", compress_level=PNG_COMPRESSION)
    pixels = np.bincount(labels[labels != UNLABELLED_ID], minlength=len(spec.classes))
    return Drawing(plan.image_id, pixels, list(_instances(spec, plan.image_id, labels)))


def _instances(spec: PhantomSpec, image_id: str, labels: NDArray[np.uint8]) -> Iterator[tuple[Any, ...]]:
    """Yield one row per 4-connected component; the edge of the annotated area counts as border."""
    border = np.asarray(ndimage.binary_dilation(labels == UNLABELLED_ID, border_value=1), bool)
    number = 0
    for class_id in np.unique(labels[labels != UNLABELLED_ID]):
        components = np.empty(labels.shape, np.int32)
        ndimage.label(labels == class_id, output=components)
        area = np.bincount(components.ravel())
        touching = np.bincount(components[border], minlength=len(area)) > 0
        for component, box in enumerate(ndimage.find_objects(components), start=1):
            number += 1
            corners = (box[0].start, box[1].start, box[0].stop, box[1].stop)
            name = spec.classes[class_id].name
            yield (image_id, number, name, int(area[component]), *corners, bool(touching[component]))


def _describe(spec: PhantomSpec) -> dict[str, Any]:
    """Return the content of dataset.yaml."""
    return {
        "name": spec.name,
        "description": f"Synthetic H&E-like tissue with planted class factors, drawn from seed {spec.seed}.",
        "mpp_um": spec.mpp_um,
        "unlabelled_id": UNLABELLED_ID,
        "groups_known": True,
        "classes": [{"id": i, "name": c.name, "colour": c.colour} for i, c in enumerate(spec.classes)],
        "licence": "CC0-1.0",
        "citation": "imbalance-bench tissue phantom",
    }


def _truth_rows(spec: PhantomSpec, plans: list[ImagePlan], drawings: list[Drawing]) -> Iterator[tuple[Any, ...]]:
    """Yield the planted factors of every class beside what was realised."""
    pixels = np.sum([d.pixels for d in drawings], axis=0)
    planted = [sum(r.class_id == i for p in plans for r in p.regions) for i in range(len(spec.classes))]
    for i, c in enumerate(spec.classes):
        measured = f"{pixels[i] / pixels.sum():.6f}"
        factors = (c.share, c.ambiguity, c.morphology, c.context)
        yield (i, c.name, c.texture, *factors, c.rival or "", measured, planted[i])


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Write a mapping in its own order."""
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _write_csv(path: Path, columns: tuple[str, ...], rows: Any) -> None:
    """Write a table with a header."""
    with path.open("w", newline="", encoding="utf-8") as stream_out:
        writer = csv.writer(stream_out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
