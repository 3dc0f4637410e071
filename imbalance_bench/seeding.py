"""Named seeds: every random decision draws from a stream of its own, derived from the run's seed and a name."""

import hashlib

import numpy as np


def derive_seed(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed for the stream called `names`, stable over machines and versions.

    Two streams are independent for practical purposes as long as their names differ, so that adding a random decision
    never shifts another one.
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return the NumPy generator of the stream called `names`."""
    return np.random.default_rng(derive_seed(seed, *names))
