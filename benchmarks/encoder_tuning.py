"""Dice with a frozen and with a fine-tuned encoder, side by side, on CoNSeP and GlaS, as a Markdown table.

    python -m benchmarks.encoder_tuning [--data consep glas] [--seeds 3] [--steps 150] [--shared DIR] [--out DIR]

One study of each data set: cross-entropy with the encoder of `../shared/weights` (tf_efficientnet_lite0, ImageNet)
frozen and fully trained. Both models see the same splits, seeds, crops and fresh views: features are not cached, so
that augmentation does not differ. Differences and intervals are those of `analyze` (table `model_differences`): over
test units and seeds, p corrected by Holm over the classes. A stopped call goes on where it was.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from analysis.pipeline import analyze_study
from analysis.topics.models import DIFFERENCE, TABLES
from imbalance_bench.config import StudyConfig, parse_study
from imbalance_bench.execution import Execution, execute_study

ROOT = Path(__file__).parents[1]
WEIGHTS = Path("weights", "tf_efficientnet_lite0_in1k.safetensors")
# source classes that are told apart, how images are divided, and tiles that cover an image
DATA = {
    "consep": {
        "groups": {
            "epithelial": ["healthy_epithelial", "malignant_epithelial"],
            "spindle": ["fibroblast", "muscle", "endothelial"],
        },
        "splits": {"kind": "published"},
        "tiling": {"tile_px": 512, "stride_px": 488},
    },
    "glas": {
        "groups": {
            "benign": ["healthy", "adenomatous"],
            "malignant": [
                "moderately_differentiated",
                "moderately_to_poorly_differentiated",
                "poorly_differentiated",
            ],
        },
        "splits": {"kind": "grouped", "test_fraction": 0.2},
        "tiling": {"tile_px": 544, "stride_px": 544},
    },
}
SHARED_MODEL = {
    "encoder": "tu-tf_efficientnet_lite0",
    "channels": 64,
    "heads": 4,
    "mlp_channels": 128,
    "pixel_channels": [64, 32, 32],
}
HEADINGS = ("data", "class", "test units", "seeds", "fine-tuned", "frozen", "difference", "95 % interval")
HEADINGS += ("p (Holm)", "verdict")


def study_of(data: str, *, seeds: int, steps: int, shared: Path) -> StudyConfig:
    """Return the study of one data set; `shared` holds data and weights."""
    own = DATA[data]
    model = SHARED_MODEL | {"encoder_weights": str(shared / WEIGHTS)}
    content = {
        "name": f"encoder_tuning_{data}",
        "dataset": {"path": str(shared / "data" / data), "groups": own["groups"], **own["tiling"]},
        "splits": own["splits"],
        "models": [
            model | {"label": "fine-tuned", "encoder_tuning": "full"},
            model | {"label": "frozen", "encoder_tuning": "frozen"},
        ],
        "training": {
            "steps": steps,
            "batch_size": 4,
            "crop_px": 128,
            "validate_every": steps,
            "ledger_every": steps,
            "augmentation": {"cached_views": 0},
        },
        "methods": ["cross_entropy"],
        "seeds": list(range(seeds)),
        "evaluation": {
            "path_controls": 0,
            "permuted_biases": 0,
            "dynamics_crops": 0,
            "surface_um": [],
            "trimap_um": [],
            "boundary_um": [],
        },
        "compute": {"saved_predictions": 0},
    }
    return parse_study(content, source=f"the study of {data}")


def rows(data: str, differences: pd.DataFrame) -> list[str]:
    """Return lines of the table: macro Dice and every class of one study."""
    made = []
    for row in differences.to_dict("records"):
        interval = f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}"
        scores = (f"{100 * row[name]:.1f}" for name in ("of_model", "of_other"))
        change = (f"{100 * row['difference']:+.1f}", interval)
        cells = (data, row["class"], row["n_units"], row["n_seeds"], *scores, *change)
        made.append("| " + " | ".join(map(str, (*cells, f"{row['p_holm']:.2g}", row["verdict"]))) + " |")
    return made


def main() -> None:
    """Parse the command line, train what is missing, analyse, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="holds data and weights")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "studies" / "encoder_tuning")
    options = parser.parse_args()
    made = []
    for data in options.data:
        if not ((options.shared / "data" / data).is_dir() and (options.shared / WEIGHTS).is_file()):
            print(f"{data}: left out, {options.shared} lacks it or {WEIGHTS}", file=sys.stderr)
            continue
        config = study_of(data, seeds=options.seeds, steps=options.steps, shared=options.shared)
        root = options.out / f"{data}-{options.steps}"
        execute_study(config, root, Execution(options.out / "cache", "serial"))
        made += rows(data, analyze_study(root).tables[TABLES[DIFFERENCE]])
    print("| " + " | ".join(HEADINGS) + " |\n|" + "---|" * len(HEADINGS))
    print("\n".join(made))


if __name__ == "__main__":
    main()
