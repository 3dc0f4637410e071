"""The class-query decoders by name.

What reaches the pixel embeddings without passing through the image->token attention, where a class bias acts:

| name | around the two-way decoder | within its last block |
|---|---|---|
| `unet` | the pixel map | the image tokens (residual) |
| `sam` | nothing | the image tokens (residual) |
| `bottleneck` | nothing | nothing |
| `tied` | nothing | nothing: attention weights are the readout |
| `tied_detail` | what the pixel map holds within a token | nothing: the same |
| `tied_orthonormal` | the same | nothing: the same, with orthonormal directions of the classes |
"""

from collections.abc import Callable
from functools import partial

from imbalance_bench.models.class_query import ClassQueryDecoder, DecoderSetting
from imbalance_bench.models.pixel_map import ImageReadout, TiedReadout
from imbalance_bench.models.sam import SamDecoder

DECODERS: dict[str, Callable[[DecoderSetting], ClassQueryDecoder]] = {
    "unet": partial(ImageReadout, pixel_skip=True, image_residual=True),
    "sam": SamDecoder,
    "bottleneck": partial(ImageReadout, pixel_skip=False, image_residual=False),
    "tied": partial(TiedReadout, detail=False),
    "tied_detail": partial(TiedReadout, detail=True),
    "tied_orthonormal": partial(TiedReadout, detail=True, orthonormal=True),
}
