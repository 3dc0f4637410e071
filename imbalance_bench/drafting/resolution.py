"""What TIFF files tell of the size of their pixels: resolution tags, ImageJ's and OME's metadata."""

from collections.abc import Sequence
from pathlib import Path

import tifffile

from imbalance_bench.data.pictures import TiffPicture, is_tiff
from imbalance_bench.data.pixel_size import PixelSize, stated_pixel_size
from imbalance_bench.errors import UserError

_MICROMETRES = {2: 25400.0, 3: 10000.0}  # per ResolutionUnit: inch, centimetre
_SAME = 0.02  # relative difference up to which images have one resolution


def common_resolution(images: Sequence[Path]) -> tuple[float | None, str]:
    """Return the micrometres per pixel that all images state, if they are plausible, and a sentence about them.

    Args:
        images: Files of any format; only TIFF files are read.
    """
    pixel_sizes = [size for path in images if is_tiff(path) and (size := pixel_size_of(path)) is not None]
    if not pixel_sizes:
        return None, "The files do not state their resolution. Give --mpp if you know it."
    odd = next((size for size in pixel_sizes if not size.is_plausible), None)
    if odd is not None:
        return None, f"The files state {odd}, which no microscope has. Give --mpp if you know the resolution."
    sizes = [edge for size in pixel_sizes for edge in (size.x_um, size.y_um)]
    if len(pixel_sizes) < len(images) or max(sizes) > min(sizes) * (1 + _SAME):
        finding = "Only some files state" if len(pixel_sizes) < len(images) else "The files differ in"
        return None, f"{finding} their resolution (such as {pixel_sizes[0]}). Give --mpp, or images of one resolution."
    return float(f"{pixel_sizes[0].x_um:.4g}"), f"The files state {pixel_sizes[0]}."


def pixel_size_of(path: Path) -> PixelSize | None:
    """Return the pixel size that a TIFF states, plausible or not; None where it states none or is damaged."""
    try:
        with TiffPicture(path):  # refuses a damaged file, and keeps tifffile's remarks from the terminal
            pass
        with tifffile.TiffFile(path) as file:
            return _of_ome(file) or _of_tags(file)
    except (UserError, OSError, ValueError, KeyError, TypeError, tifffile.TiffFileError):
        return None


def _of_tags(file: tifffile.TiffFile) -> PixelSize | None:
    page = file.pages.first
    unit = _MICROMETRES.get(int(page.tags.valueof("ResolutionUnit", 2)))
    imagej = file.imagej_metadata or {}
    if str(imagej.get("unit", "")).lower() in ("micron", "um", "µm", "\\u00b5m", "μm"):
        unit = 1.0
    ratios = [page.tags.valueof(name) for name in ("XResolution", "YResolution")]
    if unit is None or not all(isinstance(ratio, tuple) and ratio[0] and ratio[1] for ratio in ratios):
        return None
    return stated_pixel_size(*(unit * ratio[1] / ratio[0] for ratio in ratios))


def _of_ome(file: tifffile.TiffFile) -> PixelSize | None:
    if not file.ome_metadata:
        return None
    described = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
    pixels = (described[0] if isinstance(described, list) else described)["Pixels"]
    if any(pixels.get(f"PhysicalSize{axis}Unit", "µm") not in ("µm", "μm", "um") for axis in "XY"):
        return None
    return stated_pixel_size(pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeY"))
