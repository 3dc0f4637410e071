"""How time grows with the size of a task."""

from collections.abc import Sequence

import numpy as np

from benchmarks.speed.row import Row

LINEAR = 1.1  # largest exponent that is called linear


def growth_row(what: str, of: str, sizes: Sequence[int], seconds: Sequence[float]) -> Row:
    """Return the exponent of a power law through times, by least squares on logarithms.

    A fixed cost makes it smaller, so the note names the times, and the exponent between the two largest sizes, where
    such a cost matters least.

    Args:
        what: Was timed.
        of: What the sizes count.
        sizes: At least two.
        seconds: Of processors, for each.
    """
    logs = np.log(sizes), np.log(seconds)
    exponent = float(np.polyfit(*logs, 1)[0])
    last = float((logs[1][-1] - logs[1][-2]) / (logs[0][-1] - logs[0][-2]))
    told = ", ".join(f"{size}: {spent:.3g}" for size, spent in zip(sizes, seconds, strict=True))
    note = f"CPU s for {told}; between the two largest {last:.2f}"
    title = f"{what}, {sizes[0]} to {sizes[-1]} {of}: exponent of the time"
    return Row(title, "", exponent, None, "", LINEAR, "at most", note)
