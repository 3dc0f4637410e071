"""Runs for TensorBoard, MLflow and Weights & Biases, from their records: training knows of none of them."""

from imbalance_bench.tracking.export import TARGETS, Export, following

__all__ = ["TARGETS", "Export", "following"]
