"""Golden values of post-hoc tests and the Bayesian signed-rank test, from other packages.

Writes posthoc_python.csv (key, value) beside this script; needs scikit-posthocs and baycomp, which the project does
not depend on: `pip install scikit-posthocs baycomp`, then `python tests/analysis/golden/posthoc.py`.
"""

from importlib.metadata import version
from pathlib import Path

import baycomp  # pyright: ignore[reportMissingImports]
import numpy as np
import scikit_posthocs  # pyright: ignore[reportMissingImports]

SCORES = np.array(
    [
        [0.71, 0.74, 0.69, 0.80],
        [0.62, 0.61, 0.60, 0.66],
        [0.55, 0.59, 0.58, 0.57],
        [0.81, 0.83, 0.79, 0.84],
        [0.44, 0.49, 0.40, 0.49],
        [0.90, 0.91, 0.88, 0.93],
        [0.67, 0.66, 0.65, 0.70],
    ]
)
DIFFERENCES = np.array([0.012, -0.004, 0.021, 0.007, 0.016, -0.011, 0.009, 0.002, 0.018, 0.005, -0.002, 0.013])
DRAWS = 100_000


def main() -> None:
    """Compute and write every value."""
    rows = []
    for name, test in (
        ("conover", lambda: scikit_posthocs.posthoc_conover_friedman(SCORES)),
        ("conover_holm", lambda: scikit_posthocs.posthoc_conover_friedman(SCORES, p_adjust="holm")),
        ("nemenyi", lambda: scikit_posthocs.posthoc_nemenyi_friedman(SCORES)),
    ):
        table = test().to_numpy()
        rows += [(f"{name}_{i}{j}", table[i, j]) for i in range(4) for j in range(i + 1, 4)]
    for rope in (0.0, 0.0043, 0.00937):
        # its difference is y - x; with a region it gives left, inside, right, without one left and right
        found = baycomp.SignedRankTest.probs(np.zeros(12), DIFFERENCES, rope=rope, nsamples=DRAWS, random_state=0)
        names = ("worse", "equivalent", "better") if rope else ("worse", "better")
        rows += [(f"signed_rank_{rope:g}_{each}", value) for each, value in zip(names, found, strict=True)]
    for rope in (0.0, 0.004):  # over folds, whose training sets overlap
        found = baycomp.CorrelatedTTest.probs(np.zeros(12), DIFFERENCES, rope=rope)
        names = ("worse", "equivalent", "better") if rope else ("worse", "better")
        rows += [(f"correlated_t_{rope:g}_{each}", value) for each, value in zip(names, found, strict=True)]
    header = ", ".join(f"{name} {version(name)}" for name in ("scikit-posthocs", "baycomp"))
    lines = [f"# {header}, {DRAWS} draws", "key,value", *(f"{key},{value:.12g}" for key, value in rows)]
    Path(__file__).with_name("posthoc_python.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
