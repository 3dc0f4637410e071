"""Four unlike studies, simulated: twenty classes, long names, one seed, and images without a resolution."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from imbalance_bench.manifest import write_json

MANY = tuple(f"tissue {letter}" for letter in "ABCDEFGHIJKLMNOPQRST")
LONG_METHODS = (
    "cross_entropy",
    "focal_loss_with_effective_number_weights_and_a_long_label",
    "unified_focal",
    "dfa_learned_from_a_frequency_prior_shared_over_heads",
)


def write_studies(folder: Path) -> dict[str, Path]:
    """Write the studies with their analyses; the numbers mean nothing and look plausible.

    Args:
        folder: An empty folder, or one of an earlier call.

    Returns:
        Name -> study directory.
    """
    return {name: write(folder / name) for name, write in STUDIES.items() if not (folder / name).exists()} | {
        name: folder / name for name in STUDIES
    }


def many_classes(root: Path) -> Path:
    """Twenty classes and five methods."""
    from tests.analysis.contract_study import write_bare_study

    write_bare_study(root, MANY)
    return _analysed(root)


def long_names(root: Path) -> Path:
    """Names of classes and methods that are sentences."""
    from tests.analysis.contract_study import LONG_NAMES, write_bare_study

    write_bare_study(root, LONG_NAMES[:7], methods=LONG_METHODS, seeds=2)
    return _analysed(root)


def one_seed(root: Path) -> Path:
    """One seed, with records, predictions and attention maps."""
    from tests.analysis.contract_study import write_attention
    from tests.analysis.synthetic import write_synthetic_study

    write_synthetic_study(root, seeds=1, n_images=8)
    write_attention(root, _read(root, "dataset"))
    return _analysed(root)


def no_resolution(root: Path) -> Path:
    """Nine classes, one of which is absent, on images of unknown resolution and group."""
    from tests.analysis.synthetic import write_synthetic_study

    write_synthetic_study(root, classes=9, n_images=6, groups_known=False, absent_class=True, seeds=2)
    write_json(root / "dataset.json", _read(root, "dataset") | {"mpp_um": None})
    return _analysed(root, absent=[_read(root, "dataset")["classes"][-1]["name"]])


STUDIES: Mapping[str, Callable[[Path], Path]] = {
    "many_classes": many_classes,
    "long_names": long_names,
    "one_seed": one_seed,
    "no_resolution": no_resolution,
}


def _analysed(root: Path, **gaps: list[str]) -> Path:
    from tests.analysis.contract_study import write_analysis

    return write_analysis(root, _read(root, "plan"), _read(root, "dataset"), **gaps)  # pyright: ignore[reportArgumentType]


def _read(root: Path, name: str) -> dict:
    return json.loads((root / f"{name}.json").read_text(encoding="utf-8"))
