"""Forward and backward pass of the decoder, beside the official structure of the same network."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.speed.clock import wall_s
from benchmarks.speed.official_structure import official_logits
from benchmarks.speed.row import Row
from benchmarks.speed.setting import Setting
from imbalance_bench.models.class_query import ClassQueryDecoder, ClassQuerySize, DecoderSetting
from imbalance_bench.models.decoders import DECODERS
from imbalance_bench.models.segmenter import enlarge
from imbalance_bench.training.optimisation import autocast
from methods.cross_entropy import CrossEntropyDice

CLASSES, PIXELS_PER_TOKEN = 6, 16
TOLERANCE = 1e-3  # of logits in float32, whose size is about 1


@dataclass(frozen=True)
class Size:
    """How much is decoded.

    Attributes:
        batch: Images.
        tokens: Along each axis.
        channels: Of the decoder.
        rounds: That are timed.
    """

    batch: int
    tokens: int
    channels: int
    rounds: int


def rows(setting: Setting) -> list[Row]:
    """Measure in float32 and, on a GPU, in bfloat16."""
    gpu, cpu, tiny = Size(12, 64, 256, 10), Size(2, 32, 256, 3), Size(2, 4, 16, 1)
    size = tiny if setting.tiny else gpu if setting.on_gpu else cpu
    return [_row(setting, size, precision) for precision in ("float32", "bfloat16")[: 1 + setting.on_gpu]]


def _row(setting: Setting, size: Size, precision: str) -> Row:
    torch.manual_seed(0)
    if not setting.on_gpu:
        torch.set_num_threads(1)
    edge = PIXELS_PER_TOKEN * size.tokens
    decoder = _decoder(size.channels).to(setting.device)
    tokens = torch.randn(size.batch, size.channels, size.tokens, size.tokens, device=setting.device)
    target = torch.randint(CLASSES, (size.batch, edge, edge), device=setting.device)
    sides: list[Callable[[], Tensor]] = [
        lambda: enlarge(decoder([tokens]), edge),
        lambda: official_logits(decoder, tokens, edge),
    ]
    if precision == "float32":
        _require_equal(*sides)
    best = [float("inf")] * len(sides)
    for _ in range(size.rounds + 1):  # the first round warms up; sides in turn
        for place, side in enumerate(sides):
            spent = wall_s(lambda side=side: _pass(side, decoder, target, precision), setting.device)
            best[place] = min(best[place], spent)
    what = (
        f"decoder forward + backward, batch {size.batch}, K {CLASSES}, {size.tokens} x {size.tokens} tokens, width "
        f"{size.channels}, masks of {edge} px, {precision}"
    )
    against = "one image at a time, materialised attention, a perceptron for each class"
    return Row(what, against, 1e3 * best[0], 1e3 * best[1], "ms", 5 if setting.on_gpu else None, "ratio at least")


def _pass(side: Callable[[], Tensor], decoder: ClassQueryDecoder, target: Tensor, precision: str) -> None:
    decoder.zero_grad()
    with autocast(precision, target.device):
        logits = side()
    CrossEntropyDice()(logits, target, torch.ones_like(target, dtype=torch.bool), 0).total.backward()


@torch.no_grad()
def _require_equal(ours: Callable[[], Tensor], theirs: Callable[[], Tensor]) -> None:
    """Refuse to compare the speed of two networks."""
    with torch.backends.cudnn.flags(allow_tf32=False):
        far = float((ours() - theirs()).abs().max())
    if far > TOLERANCE:
        raise RuntimeError(f"The two structures differ by {far:.2g}: they are not the same network.")


def _decoder(channels: int) -> ClassQueryDecoder:
    size = ClassQuerySize(
        channels=channels,
        depth=2,
        heads=8,
        mlp_channels=8 * channels,
        pixel_channels=(128, 64, 32),
        embedding_channels=max(4, channels // 8),
        token_stride_px=PIXELS_PER_TOKEN,
    )
    return DECODERS["sam"](DecoderSetting((channels,), CLASSES, size, only_tokens=True))
