"""Golden values of reliability diagrams and calibration errors, from other packages.

Writes probabilities_python.csv (key, value) beside this script; needs scikit-learn and torchmetrics, which the project
does not depend on: `pip install scikit-learn torchmetrics`, then `python -m tests.analysis.golden.probabilities`.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np

CLASSES, SIZE_PX, BINS = 3, 40, 15


def case() -> tuple[np.ndarray, np.ndarray]:
    """Logits, (3, 40, 40) float32, and truth, (40, 40) uint8; no probability is within 4e-6 of a bin's end."""
    rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX].astype(np.float64)
    logits = [2.5 * np.sin(0.31 * (k + 1) * rows + 0.17 * (k + 2) * columns + 1.3 * k + 1.6) for k in range(CLASSES)]
    leaning = [each + 1.5 * np.cos(0.9 * rows - 1.3 * columns + 2 * k) for k, each in enumerate(logits)]
    return np.stack(logits).astype(np.float32), np.argmax(leaning, axis=0).astype(np.uint8)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over classes in double precision."""
    raised = np.exp(logits.astype(np.float64))
    return raised / raised.sum(0)


def main() -> None:
    """Compute and write every value."""
    import torch
    from sklearn.calibration import calibration_curve  # pyright: ignore[reportMissingImports]
    from sklearn.metrics import brier_score_loss  # pyright: ignore[reportMissingImports]
    from torchmetrics.functional.classification import (  # pyright: ignore[reportMissingImports]
        multiclass_calibration_error,
    )

    logits, labels = case()
    p, truth = softmax(logits).reshape(CLASSES, -1), labels.ravel()
    rows = []
    for k in range(CLASSES):
        observed, mean = calibration_curve(truth == k, p[k], n_bins=BINS)
        rows += [(f"observed_{k}_{row}", value) for row, value in enumerate(observed)]
        rows += [(f"probability_{k}_{row}", value) for row, value in enumerate(mean)]
        rows.append((f"brier_{k}", brier_score_loss(truth == k, p[k])))
    arguments = torch.from_numpy(p.T.copy()), torch.from_numpy(truth.astype(np.int64)), CLASSES
    rows.append(("top_label_error_all", float(multiclass_calibration_error(*arguments, n_bins=BINS))))
    header = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "torchmetrics"))
    lines = [f"# {header}", "key,value", *(f"{key},{value:.12g}" for key, value in rows)]
    Path(__file__).with_name("probabilities_python.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
