"""What the measures of one construct have in common."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Construct:
    """The measures of one construct, computed together.

    Args:
        name: Of the construct.
        units: Measure -> unit of its value, M of them.
        evaluate: (B, U) weights of the resampled units -> (M, B, K) values.
        n: (K,) what each value rests on.
    """

    name: str
    units: dict[str, str]
    evaluate: Callable[[np.ndarray], np.ndarray]
    n: np.ndarray


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide; NaN where there is nothing to divide by."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
