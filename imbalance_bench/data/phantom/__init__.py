"""Synthetic H&E-like tissue with planted frequency, boundary ambiguity, morphology and context for every class."""

from imbalance_bench.data.phantom.designs import DESIGNS, factorial_design, largest_rank_correlation
from imbalance_bench.data.phantom.presets import PRESETS
from imbalance_bench.data.phantom.spec import GroupCounts, PhantomClass, PhantomSpec
from imbalance_bench.data.phantom.writer import generate_phantom

__all__ = [
    "DESIGNS",
    "PRESETS",
    "GroupCounts",
    "PhantomClass",
    "PhantomSpec",
    "factorial_design",
    "generate_phantom",
    "largest_rank_correlation",
]
