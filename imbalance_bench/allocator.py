"""Let glibc keep the memory that tensors free, instead of giving every large block back to the kernel.

glibc maps each block of more than 128 KiB (its dynamic threshold: at most 32 MiB) anew and unmaps it when it is freed,
so that a training step on the CPU touches fresh pages all the time: page faults took a sixth of a step and half of the
encoding of a tile. With these settings freed blocks stay in the heap and are used again (`man mallopt`).
"""

import ctypes
import os
import platform

SWITCH = "IMBALANCE_BENCH_ALLOCATOR"  # `system` in the environment leaves the allocator alone
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h
TRIM_BYTES = 2**30  # free memory at the top of the heap that is kept
PAD_BYTES = 64 * 2**20  # that the heap grows by


def keep_freed_memory() -> bool:
    """Set the allocator of this process; call it before large tensors are made.

    Returns:
        False where the C library is not glibc, or the environment says `IMBALANCE_BENCH_ALLOCATOR=system`.
    """
    if os.environ.get(SWITCH) == "system" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: TRIM_BYTES, M_TOP_PAD: PAD_BYTES}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
