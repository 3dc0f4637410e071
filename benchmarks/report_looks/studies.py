"""Five unlike studies: many classes, long names, one seed, no resolution, two models.

What is looked at is a report that can occur: runs are simulated with a planted truth, and every number and word is that
of `analyze`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.pipeline import analyze_study

LONG_METHODS = {
    "cross_entropy": 0.0,
    "focal_loss_with_effective_number_weights_and_a_long_label": -0.04,
    "unified_focal": 0.03,
    "dfa_learned_from_a_frequency_prior_shared_over_heads": 0.08,
}
LONG_NAMES = tuple(f"a rather long class name of tissue compartment {letter}" for letter in "abcdefg")
MANY_NAMES = tuple(f"tissue {letter}" for letter in "ABCDEFGHIJKLMNOPQRST")
QUICK = {"resamples": 400, "permutations": 2000}  # so that five studies are analysed in minutes

# options of `tests.analysis.synthetic.write_synthetic_study`
STUDIES: Mapping[str, Mapping[str, Any]] = {
    "many_classes": {"names": MANY_NAMES, "n_images": 10, "borders": True},
    "long_names": {"names": LONG_NAMES, "methods": tuple(LONG_METHODS), "gains": LONG_METHODS, "seeds": 2,
                   "n_images": 8, "interventions": True},
    "one_seed": {"seeds": 1, "n_images": 8, "borders": True, "interventions": True, "attention": "live"},
    "no_resolution": {"classes": 9, "n_images": 6, "seeds": 2, "groups_known": False, "absent_class": True,
                      "mpp_um": None, "borders": True},
    "two_models": {"models": ("small encoder", "large encoder"), "n_images": 8, "borders": True,
                   "methods": ("cross_entropy", "inverse_frequency", "dfa")},
}  # fmt: skip


def write_studies(folder: Path) -> dict[str, Path]:
    """Simulate the studies and analyse them; those of an earlier call are kept.

    Returns:
        Name -> study directory.
    """
    from tests.analysis.contract_study import write_attention
    from tests.analysis.synthetic import write_synthetic_study

    for name, options in STUDIES.items():
        if not (folder / name / "analysis" / "verdicts.json").exists():
            root = write_synthetic_study(folder / name, coherent=True, analysis=QUICK, **options)
            write_attention(root, json.loads((root / "dataset.json").read_text()))
            analyze_study(root)
    return {name: folder / name for name in STUDIES}
