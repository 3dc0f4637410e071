"""Synthetic H&E-like tissue with planted frequency, boundary ambiguity, morphology and context for every class."""

from imbalance_bench.data.phantom.designs import (
    DESIGNS,
    FACTORS,
    factorial_design,
    largest_rank_correlation,
    rank_correlations,
)
from imbalance_bench.data.phantom.presets import PRESETS
from imbalance_bench.data.phantom.series import generate_series
from imbalance_bench.data.phantom.spec import GroupCounts, PhantomClass, PhantomSpec
from imbalance_bench.data.phantom.writer import generate_phantom

__all__ = [
    "DESIGNS",
    "FACTORS",
    "PRESETS",
    "GroupCounts",
    "PhantomClass",
    "PhantomSpec",
    "factorial_design",
    "generate_phantom",
    "generate_series",
    "largest_rank_correlation",
    "rank_correlations",
]
