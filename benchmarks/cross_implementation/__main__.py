"""Print docs/conformance.md: `python -m benchmarks.cross_implementation > docs/conformance.md`."""

import torch

from benchmarks.cross_implementation.page import render

if __name__ == "__main__":
    torch.set_num_threads(1)
    print(render(), end="")
