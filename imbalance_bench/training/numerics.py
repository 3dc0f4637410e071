"""Threads, determinism and precision of a process that trains or encodes."""

import os

import torch

from imbalance_bench.allocator import keep_freed_memory
from imbalance_bench.config import ComputeSection


def configure_torch(section: ComputeSection, device: torch.device) -> None:
    """Set threads, determinism and precision of this process, as the study says."""
    keep_freed_memory()
    keep_float32()
    torch.set_num_threads(section.threads)
    # some CUDA kernels (bilinear upsampling among them) have no deterministic form: warn there, refuse elsewhere
    torch.use_deterministic_algorithms(section.deterministic, warn_only=device.type == "cuda")
    # a debugging aid that costs time
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without which its products are not deterministic
        torch.backends.cudnn.benchmark = not section.deterministic


def keep_float32() -> None:
    """Let float32 be float32 in this process: convolutions of a GPU would else round what they read to TF32."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
