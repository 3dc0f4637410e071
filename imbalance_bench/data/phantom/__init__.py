"""Synthetic H&E-like tissue with planted frequency, boundary ambiguity, morphology and context for every class."""

from imbalance_bench.data.phantom.presets import PRESETS
from imbalance_bench.data.phantom.spec import GroupCounts, PhantomClass, PhantomSpec
from imbalance_bench.data.phantom.writer import generate_phantom

__all__ = ["PRESETS", "GroupCounts", "PhantomClass", "PhantomSpec", "generate_phantom"]
