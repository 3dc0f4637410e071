"""Opening a picture by its content; the ending of its name is not trusted."""

from pathlib import Path

from imbalance_bench.data.pictures.picture import Picture
from imbalance_bench.data.pictures.raster import RasterFile
from imbalance_bench.data.pictures.tiff import TiffPicture, is_tiff


def open_picture(path: Path) -> Picture:
    """Open a PNG, JPEG, WebP, BMP, GIF or TIFF; a context manager.

    Raises:
        UserError: The file is missing, damaged or of another format, or is no TIFF and larger than the limit.
    """
    return TiffPicture(path) if is_tiff(path) else RasterFile(path)
