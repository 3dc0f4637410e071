"""Imbalance methods. `REGISTRY` is the one place where a method gets its name."""

from methods.registry import REGISTRY, distinct_methods

__all__ = ["REGISTRY", "distinct_methods"]
