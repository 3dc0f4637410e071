"""What folded batch norm and smaller chunks would gain a frozen encoder on a CPU.

    python -m benchmarks.encoding_speed [--tile-px 512] [--rounds 3] [--encoders NAME ...]

Batch norm is folded at best: each layer is replaced by its activation alone, so that the ratio is an upper bound of
what folding can gain. All variants encode the same tiles in turn; processor time of one thread, least of the rounds.
The last column says whether the features in half precision, as a cache holds them, depend on the chunk.
"""

import argparse
import copy
import time

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from imbalance_bench.allocator import keep_freed_memory
from imbalance_bench.config import ModelSection
from imbalance_bench.models.encoders import Encoder, build_encoder, choices

ENCODERS = ("tu-tf_efficientnet_lite0", "resnet18", "resnet50")
CHUNKS = (1, 2, 4, 8)


def without_norms(module: nn.Module) -> nn.Module:
    """Return a copy whose batch norms do nothing; their activations stay."""
    bare = copy.deepcopy(module)
    for parent in list(bare.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, BatchNormAct2d):
                setattr(parent, name, child.act)
            elif isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.Identity())
    return bare


@torch.inference_mode()
def cpu_ms(encoder: Encoder, module: nn.Module, tiles: Tensor, chunk: int) -> float:
    """Return processor time of encoding one tile, ms."""
    started = time.process_time()
    for part in tiles.split(chunk):
        module(encoder.normalise(part).contiguous(memory_format=torch.channels_last))
    return 1e3 * (time.process_time() - started) / len(tiles)


@torch.inference_mode()
def same_bytes(encoder: Encoder, module: nn.Module, tiles: Tensor) -> bool:
    """True if every feature in half precision is the same in chunks of one tile and of all."""
    pixels = encoder.normalise(tiles).contiguous(memory_format=torch.channels_last)
    alone = [module(part) for part in pixels.split(1)]
    return all(
        torch.equal(whole.half(), torch.cat([features[level] for features in alone]).half())
        for level, whole in enumerate(module(pixels))
    )


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tile-px", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), metavar="NAME")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    tiles = 255 * torch.rand(8, 3, options.tile_px, options.tile_px)
    print(f"| encoder, {options.tile_px} px | " + " | ".join(f"chunk {chunk}" for chunk in CHUNKS), end="")
    print(" | without batch norm, chunk 1 | at most | same bytes |\n|" + "---|" * (len(CHUNKS) + 4))
    for name in options.encoders:
        encoder = build_encoder(choices(ModelSection(encoder=name))[0])
        module = encoder.module.eval()
        variants = [(module, chunk) for chunk in CHUNKS] + [(without_norms(module), 1)]
        least = [float("inf")] * len(variants)
        for _ in range(options.rounds):
            for place, (each, chunk) in enumerate(variants):
                least[place] = min(least[place], cpu_ms(encoder, each, tiles, chunk))
        cells = " | ".join(f"{value:.0f}" for value in least)
        same = "yes" if same_bytes(encoder, module, tiles) else "no"
        print(f"| {name} | {cells} | {least[0] / least[-1]:.2f} x | {same} |", flush=True)


if __name__ == "__main__":
    main()
