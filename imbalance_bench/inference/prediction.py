"""`imbalance-bench predict`: from image files to masks, overlays, outlines and areas."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from imbalance_bench.csv_cells import csv_text
from imbalance_bench.data.pixel_size import require_mpp_option
from imbalance_bench.data.region_image import open_region_image, require_region_image
from imbalance_bench.data.slide_image import SlideImage
from imbalance_bench.data.windowed_image import RegionImage
from imbalance_bench.errors import UserError
from imbalance_bench.inference.ids_file import IdsFile
from imbalance_bench.inference.image_files import class_pixels, resized, write_mask, write_outlines
from imbalance_bench.inference.overlay import LONGEST_SIDE_PX, write_overlay
from imbalance_bench.inference.pyramid_file import write_pyramid
from imbalance_bench.inference.resolution import Resolution, at_resolution, resolution_of, unused_resolution
from imbalance_bench.inference.resumption import Workplace, clear, workplace
from imbalance_bench.inference.shared_outlines import trace_in_blocks
from imbalance_bench.inference.tissue import Tissue, find_tissue
from imbalance_bench.inference.trained_model import TrainedModel
from imbalance_bench.inference.windowed_prediction import Tiling, predict_windows
from imbalance_bench.manifest import canonical_hash, code_version, file_hash, write_atomically, write_json

LARGEST_SIMPLE_PX = 4096 * 4096  # slides with more pixels are searched for tissue; their masks are pyramids
BAND_BYTES = 2**27  # of logits that are held at once
OnProgress = Callable[[str, int, int], None]  # what, done, of


@dataclass(frozen=True)
class PredictionOptions:
    """How images are predicted.

    Attributes:
        mpp_um: Micrometres per pixel of the images, whatever their files state; None: as a slide states, else as the
            model was trained.
        overlap_px: Pixels that neighbouring tiles share; None: as in the evaluation of the run.
        outlines: Whether to write GeoJSON.
        palette: Whether masks have the colours of the classes as a palette instead of being grey.
        tissue: Whether glass of large slides is skipped.
    """

    mpp_um: float | None = None
    overlap_px: int | None = None
    outlines: bool = True
    palette: bool = False
    tissue: bool = True


@dataclass(frozen=True)
class Predictions:
    """What was predicted.

    Attributes:
        areas: Columns image, class_id, class, pixels, share (of what was predicted), mpp_um, resolution (where it comes
            from), area_um2 (NaN where the resolution is unknown) and predicted_share (of the image; the rest is glass).
        notes: What the person should know: resolutions that were assumed or not believed, images that were turned,
            glass that was skipped.
    """

    areas: pd.DataFrame
    notes: tuple[str, ...]


def predict_images(
    model: TrainedModel, images: Sequence[Path], out: Path, options: PredictionOptions, on_progress: OnProgress
) -> Predictions:
    """Predict images; write mask, `<name>_overlay.png` and `<name>.geojson` of each, `areas.csv` and `licences.json`.

    Masks are grey, their values class ids, as the predictions that a study keeps: `<name>_mask.png`, or
    `<name>_mask.ome.tif` of slides with more than LARGEST_SIMPLE_PX pixels, where glass is left out (255). The mask of
    a picture has the size of the picture; that of a slide has the resolution of the model. Outlines are in pixels of
    the image (of a slide: of its finest level). Memory is bounded whatever the size of a slide; a picture is decoded as
    a whole. What is finished survives a killed process in `.<name>.predicting`, from which the same call resumes.

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
    folders = {path: out / f".{path.stem}.predicting" for path in images}
    tables, notes = [], []
    for path, folder in folders.items():
        key = _key(model, path, options, overlap_px)
        with (
            open_region_image(path, mpp_um=model.mpp_um, given_um=options.mpp_um) as image,
            workplace(folder, key, len(model.class_names)) as place,
        ):
            resolution = resolution_of(image, path, trained_um=model.mpp_um, given_um=options.mpp_um)
            job = _ImageJob(model, path, image, resolution, options, model.tile_px - overlap_px, place, on_progress)
            tables.append(job.execute(out))
            notes += [f"{path.name}: {note}." for note in job.notes() if note]
    areas = pd.concat(tables, ignore_index=True)
    content = csv_text(areas).encode()
    write_atomically(out / "areas.csv", lambda file: file.write(content))
    write_json(out / "licences.json", model.licences)
    for folder in folders.values():
        clear(folder)
    return Predictions(areas, (*notes, *_assumed(areas)))


@dataclass(frozen=True)
class _ImageJob:
    """The prediction of one open image."""

    model: TrainedModel
    path: Path
    image: RegionImage
    resolution: Resolution
    options: PredictionOptions
    stride_px: int
    place: Workplace
    on_progress: OnProgress

    def execute(self, out: Path) -> pd.DataFrame:
        """Write the files of the image and return its rows of `areas.csv`."""
        progress = self.place.progress
        if not progress.complete:
            try:
                self._write(out)
            except BaseException:
                if not progress.rows:
                    clear(self.place.folder)
                raise
            self.place.finish()
        return self._areas()

    def notes(self) -> list[str]:
        """What the person should know of it."""
        predicted = self.place.progress.predicted_pixels / (self.image.height_px * self.image.width_px)
        return [
            self.image.note,
            unused_resolution(self.image, self.resolution),
            "resumed an interrupted prediction" if self.place.resumed else "",
            f"{1 - predicted:.1%} of it is glass and was skipped; --no-tissue predicts it" if predicted < 1 else "",
        ]

    def _write(self, out: Path) -> None:
        slide = self._large_slide
        overview, tissue = (None, None) if slide is None else self._search(slide)
        seen = at_resolution(self.image, self.resolution)
        with self.place.ids(seen.height_px, seen.width_px) as ids:
            self._predict(seen, tissue, ids)
            if seen is self.image:
                self._write_files(out, ids, overview)
                return
            size = self.image.height_px, self.image.width_px
            with resized(ids, *size, self.place.folder / "resized") as own:
                self.place.progress.pixels = class_pixels(own, len(self.model.class_names))
                self._write_files(out, own, None)

    @property
    def _large_slide(self) -> SlideImage | None:
        large = self.image.height_px * self.image.width_px > LARGEST_SIMPLE_PX
        return self.image if large and isinstance(self.image, SlideImage) else None

    def _search(self, slide: SlideImage) -> tuple[np.ndarray, Tissue | None]:
        """Return a reduced view of a slide, and where its tissue lies."""
        phase = f"{self.path.name}: overview"
        self.on_progress(phase, 0, 1)
        overview = slide.overview(LONGEST_SIDE_PX)
        tissue = None
        if self.options.tissue:
            tissue = find_tissue(overview, self.path, slide.height_px, slide.width_px)
        self.on_progress(phase, 1, 1)
        return overview, tissue

    def _predict(self, seen: RegionImage, tissue: Tissue | None, ids: IdsFile) -> None:
        """Predict what an earlier call left."""
        tile_px, n_classes = self.model.tile_px, len(self.model.class_names)
        panel_px = max(tile_px, BAND_BYTES // (4 * n_classes * tile_px))
        windows = predict_windows(
            seen,
            self.model.device_logits,
            Tiling(tile_px, self.stride_px, self.model.tiles_per_pass, panel_px),
            tissue=tissue,
            finished=dict(self.place.progress.rows),
            on_progress=partial(self.on_progress, self.path.name),
        )
        with closing(windows):
            try:
                for window in windows:
                    self.place.keep(ids, window)
            finally:
                self.place.save(ids)

    def _write_files(self, out: Path, ids: IdsFile, overview: np.ndarray | None) -> None:
        stem, names, colours = self.path.stem, self.model.class_names, self.model.class_colours
        palette = colours if self.options.palette else ()
        if self._large_slide is not None:
            write_pyramid(out / f"{stem}_mask.ome.tif", ids, mpp_um=self.resolution.mpp_um, colours=palette)
        else:
            write_mask(out / f"{stem}_mask.png", ids, palette)
        write_overlay(out / f"{stem}_overlay.png", self.image, ids, colours, overview)
        if self.options.outlines:
            progress = partial(self.on_progress, f"{self.path.name}: outlines")
            areas = trace_in_blocks(ids, self.place.folder, on_progress=progress)
            write_outlines(out / f"{stem}.geojson", areas, names, colours, self.resolution.scale)

    def _areas(self) -> pd.DataFrame:
        """Return the image's rows of `areas.csv`."""
        names, pixels = self.model.class_names, np.array(self.place.progress.pixels)
        mpp_um = np.nan if self.resolution.mpp_um is None else self.resolution.mpp_um
        return pd.DataFrame(
            {
                "image": self.path.name,
                "class_id": np.arange(len(names)),
                "class": list(names),
                "pixels": pixels,
                "share": pixels / pixels.sum(),
                "mpp_um": mpp_um,
                "resolution": self.resolution.origin,
                "area_um2": pixels * mpp_um**2,
                "predicted_share": pixels.sum() / (self.image.height_px * self.image.width_px),
            }
        )


def _key(model: TrainedModel, path: Path, options: PredictionOptions, overlap_px: int) -> str:
    """Name what a prediction depends on, so that nothing of another one is taken over."""
    facts = path.stat()
    return canonical_hash(
        {
            "run": [model.record.run_id, file_hash(model.record.path / "manifest.json"), model.device.type],
            "image": [str(path.resolve()), facts.st_size, facts.st_mtime_ns],
            "options": {**asdict(options), "overlap_px": overlap_px},
            "code": code_version(),
        }
    )


def _require_images(model: TrainedModel, images: Sequence[Path], options: PredictionOptions) -> None:
    """Refuse what cannot be predicted before anything is written."""
    require_mpp_option(options.mpp_um)
    names = [path.stem for path in images]
    for path in images:
        require_region_image(path, mpp_um=model.mpp_um, given_um=options.mpp_um)
        if names.count(path.stem) > 1:
            raise UserError(f"Images must differ in their names. Got '{path.stem}' twice. Give two --out folders.")


def _assumed(areas: pd.DataFrame) -> list[str]:
    """Return a note on how many images were assumed to have the resolution of the model."""
    assumed = areas[areas["resolution"] == "assumed"]
    if assumed.empty:
        return []
    n, mpp_um = assumed["image"].nunique(), assumed["mpp_um"].iloc[0]
    which = f"{n} images do" if n > 1 else f"{assumed['image'].iloc[0]} does"
    return [f"{which} not state a resolution; {mpp_um:.3g} um per pixel, the model's, is assumed (--mpp overrides it)."]
