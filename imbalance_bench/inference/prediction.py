"""`imbalance-bench predict`: from image files to masks, overlays, outlines and areas."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from imbalance_bench.csv_cells import csv_text
from imbalance_bench.data.pixel_size import require_mpp_option
from imbalance_bench.data.region_image import open_region_image, require_region_image
from imbalance_bench.data.windowed_image import RegionImage
from imbalance_bench.errors import UserError
from imbalance_bench.inference.geojson import Scale, annotation, write_feature_collection
from imbalance_bench.inference.mask_file import MaskWriter
from imbalance_bench.inference.outlines import trace_areas
from imbalance_bench.inference.overlay import write_overlay
from imbalance_bench.inference.resolution import (
    Resolution,
    at_resolution,
    resized_ids,
    resolution_of,
    unused_resolution,
)
from imbalance_bench.inference.trained_model import TrainedModel
from imbalance_bench.inference.windowed_prediction import predict_bands
from imbalance_bench.manifest import write_atomically, write_json

BLOCK_PX = 8192  # outlines are traced block by block; an area that crosses the border of a block is cut there
BAND_PX = 1024
OnProgress = Callable[[str, int, int], None]  # what, done, of


@dataclass(frozen=True)
class PredictionOptions:
    """How images are predicted.

    Attributes:
        mpp_um: Micrometres per pixel of the images, whatever their files tell; None: as a slide tells, else as the
            model was trained.
        overlap_px: Pixels that neighbouring tiles share; None: as in the evaluation of the run.
        outlines: Whether to write GeoJSON.
        palette: Whether masks have the colours of the classes as a palette instead of being grey.
    """

    mpp_um: float | None = None
    overlap_px: int | None = None
    outlines: bool = True
    palette: bool = False


@dataclass(frozen=True)
class Predictions:
    """What was predicted.

    Attributes:
        areas: Columns image, class_id, class, pixels, share, mpp_um, resolution (where it comes from) and area_um2 (NaN
            where the resolution is unknown).
        notes: What the person should know: resolutions that were assumed or not believed, images that were turned.
    """

    areas: pd.DataFrame
    notes: tuple[str, ...]


def predict_images(
    model: TrainedModel, images: Sequence[Path], out: Path, options: PredictionOptions, on_progress: OnProgress
) -> Predictions:
    """Predict images; write `<name>_mask.png`, `_overlay.png` and `.geojson`, one `areas.csv` and `licences.json`.

    Masks are grey, their values class ids, as the predictions that a study keeps. The mask of a picture has the size
    of the picture; that of a slide has the resolution of the model. Outlines are in pixels of the image (of a slide:
    of its finest level). Memory is bounded by a row of tiles and a block of mask, whatever the size of a slide; a
    picture is decoded as a whole.

    Args:
        model: A finished run.
        images: Pictures and slides.
        out: Folder, made where needed.
        options: How.
        on_progress: Called with the image's name, the tiles done and the tiles in all.

    Returns:
        Areas and notes; the areas are what `areas.csv` holds.

    Raises:
        UserError: A file that is no image, two images of one name, or options that do not fit.
    """
    overlap_px = model.tile_px - model.config.dataset.stride_px if options.overlap_px is None else options.overlap_px
    if not 0 <= overlap_px < model.tile_px:
        raise UserError(f"--overlap must be 0 to {model.tile_px - 1} px, less than a tile. Got {overlap_px}.")
    _require_images(model, images, options)
    out.mkdir(parents=True, exist_ok=True)
    tables, notes = [], []
    for path in images:
        with open_region_image(path, mpp_um=model.mpp_um, given_um=options.mpp_um) as image:
            resolution = resolution_of(image, path, trained_um=model.mpp_um, given_um=options.mpp_um)
            with tempfile.TemporaryDirectory(prefix=".predict-", dir=out) as scratch:
                seen = at_resolution(image, resolution)
                progress = partial(on_progress, path.name)
                ids = _predict(model, seen, Path(scratch) / "ids", model.tile_px - overlap_px, progress)
                if seen is not image:
                    ids = resized_ids(ids, image.height_px, image.width_px)
                _write_mask(out / f"{path.stem}_mask.png", ids, model.class_colours if options.palette else ())
                write_overlay(out / f"{path.stem}_overlay.png", image, ids, model.class_colours)
                if options.outlines:
                    _write_outlines(out / f"{path.stem}.geojson", ids, model, resolution.scale)
                tables.append(_areas(path.name, ids, model.class_names, resolution))
                notes += [
                    f"{path.name}: {note}." for note in (image.note, unused_resolution(image, resolution)) if note
                ]
                del ids  # closes the memory map before its folder goes
    areas = pd.concat(tables, ignore_index=True)
    content = csv_text(areas).encode()
    write_atomically(out / "areas.csv", lambda file: file.write(content))
    write_json(out / "licences.json", model.licences)
    return Predictions(areas, (*notes, *_assumed(areas)))


def _require_images(model: TrainedModel, images: Sequence[Path], options: PredictionOptions) -> None:
    """Refuse what cannot be predicted before anything is written."""
    require_mpp_option(options.mpp_um)
    names = [path.stem for path in images]
    for path in images:
        require_region_image(path, mpp_um=model.mpp_um, given_um=options.mpp_um)
        if names.count(path.stem) > 1:
            raise UserError(f"Images must differ in their names. Got '{path.stem}' twice. Give two --out folders.")


def _assumed(areas: pd.DataFrame) -> list[str]:
    """Say once for how many images the resolution of the model was assumed."""
    assumed = areas[areas["resolution"] == "assumed"]
    if assumed.empty:
        return []
    n, mpp_um = assumed["image"].nunique(), assumed["mpp_um"].iloc[0]
    which = f"{n} images do" if n > 1 else f"{assumed['image'].iloc[0]} does"
    return [
        f"{which} not tell a resolution; {mpp_um:.3g} um per pixel, the model's, is assumed (--mpp says otherwise)."
    ]


def _predict(
    model: TrainedModel, image: RegionImage, path: Path, stride_px: int, on_progress: Callable[[int, int], None]
) -> np.ndarray:
    """Predict into a memory-mapped file, (H, W) uint8."""
    ids = np.memmap(path, dtype=np.uint8, mode="w+", shape=(image.height_px, image.width_px))
    top = 0
    bands = predict_bands(image, model.logits, tile_px=model.tile_px, stride_px=stride_px, on_progress=on_progress)
    for band in bands:
        ids[top : top + len(band)] = band
        top += len(band)
    return ids


def _write_mask(path: Path, ids: np.ndarray, colours: Sequence[str]) -> None:
    def write(file: IO[bytes]) -> None:
        with MaskWriter(file, ids.shape[0], ids.shape[1], colours) as png:
            for top in range(0, len(ids), BAND_PX):
                png.write(ids[top : top + BAND_PX])

    write_atomically(path, write)


def _write_outlines(path: Path, ids: np.ndarray, model: TrainedModel, scale: Scale) -> None:
    def features() -> Iterator[dict[str, object]]:
        for top in range(0, ids.shape[0], BLOCK_PX):
            for left in range(0, ids.shape[1], BLOCK_PX):
                block = np.asarray(ids[top : top + BLOCK_PX, left : left + BLOCK_PX])
                for area in trace_areas(block):
                    name, colour = model.class_names[area.class_id], model.class_colours[area.class_id]
                    yield annotation(area, name, colour, origin=(left, top), scale=scale)

    write_atomically(path, lambda file: write_feature_collection(file, features()))


def _areas(image: str, ids: np.ndarray, names: Sequence[str], resolution: Resolution) -> pd.DataFrame:
    pixels = np.zeros(len(names), dtype=np.int64)
    for top in range(0, len(ids), BAND_PX):
        pixels += np.bincount(ids[top : top + BAND_PX].ravel(), minlength=len(names))
    mpp_um = np.nan if resolution.mpp_um is None else resolution.mpp_um
    return pd.DataFrame(
        {
            "image": image,
            "class_id": np.arange(len(names)),
            "class": list(names),
            "pixels": pixels,
            "share": pixels / ids.size,
            "mpp_um": mpp_um,
            "resolution": resolution.origin,
            "area_um2": pixels * mpp_um**2,
        }
    )
