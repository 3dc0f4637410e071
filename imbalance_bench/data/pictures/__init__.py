"""The one place that reads pictures: bit depth, channels, pages, orientation, colour and alpha are known, or refused.

`open_picture` says what a file holds; `read_rgb`, `read_labels`, `read_colours` and `read_class_ids` give what a caller
may trust: the pixels as they were drawn, or one line that names the file, what it holds and what to do.
"""

from imbalance_bench.data.pictures.facts import PictureFacts
from imbalance_bench.data.pictures.opening import open_picture
from imbalance_bench.data.pictures.palettes import IndexColours, Palette, misplaced, read_palette
from imbalance_bench.data.pictures.picture import Picture
from imbalance_bench.data.pictures.reading import (
    decode_rgb,
    read_class_ids,
    read_colours,
    read_labels,
    read_rgb,
    require_image,
    require_prepared_image,
    require_prepared_mask,
)
from imbalance_bench.data.pictures.tiff import TiffPicture, is_tiff, is_tiled_tiff

__all__ = [
    "IndexColours",
    "Palette",
    "Picture",
    "PictureFacts",
    "TiffPicture",
    "decode_rgb",
    "is_tiff",
    "is_tiled_tiff",
    "misplaced",
    "open_picture",
    "read_class_ids",
    "read_colours",
    "read_labels",
    "read_palette",
    "read_rgb",
    "require_image",
    "require_prepared_image",
    "require_prepared_mask",
]
