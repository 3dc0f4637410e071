"""The data sets of the DFA paper in miniature: phantom tissue in the layout, names, labels and folds of each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from imbalance_bench.data.converters.preparation import prepare_dataset
from imbalance_bench.data.converters.source import PrepareOptions
from imbalance_bench.data.phantom import PRESETS, GroupCounts, PhantomSpec, generate_phantom

EXAMPLES = Path(__file__).parents[1] / "examples"
FOLDS = (1, 0, 2, 1, 0, 3, -1, -1)  # of eight patches of four slides, the last of which is tested


@dataclass(frozen=True)
class Miniature:
    """One data set.

    Attributes:
        classes: Number of them.
        size_px: Edge of its patches.
        names: Of the patches of slide 1, 2, ..
        folds: Of the patches.
        group_regex: Finds the slide.
        tests_leak: The official folds test on slides that are trained on.
    """

    classes: int
    size_px: int
    names: str
    folds: tuple[int, ...] = FOLDS
    group_regex: str | None = None
    tests_leak: bool = False


MINIATURES = {
    "bcss": Miniature(5, 64, "TCGA-A1-A0S{}-DX1_xmin1_ymin2_MPP-0.2500_{}_0", group_regex=r"^(TCGA-\w\w-\w{4})"),
    "crag": Miniature(2, 96, "train_{}{}"),
    "bdsa": Miniature(5, 64, "{}_patch_0000_000{}", (1, 0, -1, 1, 0, 3, -1, 2), r"^(\d+)_", tests_leak=True),
}


def description_of(name: str) -> Path:
    """Return the file of `examples/` that names the classes and their labels."""
    return EXAMPLES / "paper" / f"{name}_classes.yaml"


def write_source(name: str, folder: Path) -> Path:
    """Write img/, mask/ and cv.csv of one data set, by its own labels."""
    mini, described = MINIATURES[name], yaml.safe_load(description_of(name).read_text())
    labels = [each["labels"][0] for each in described["classes"]]
    unlabelled = described.get("unlabelled", [0])
    tissue = PRESETS["tissue"].classes[: mini.classes]
    share = sum(each.share for each in tissue)
    phantom = generate_phantom(
        PhantomSpec(
            classes=tuple(
                each.model_copy(update={"share": each.share / share, "context": 0.0, "rival": None}) for each in tissue
            ),
            groups=GroupCounts(train=2, val=1, test=1),
            images_per_group=2,
            size_px=mini.size_px,
            mpp_um=2.0,
            region_um=40.0,
            unlabelled_share=0.05 if unlabelled else 0.0,
        ),
        folder / "phantom",
    )
    table = np.zeros(256, np.uint8)
    table[: len(labels)] = labels
    table[255] = unlabelled[0] if unlabelled else 0
    rows = ["img_id,fold"]
    for part in ("img", "mask"):
        (folder / part).mkdir()
    for number, path in enumerate(sorted((phantom / "images").iterdir())):
        slide, patch = divmod(number, 2)
        img_id = mini.names.format(slide, patch)
        Image.open(path).save(folder / "img" / f"{img_id}.png")
        mask = np.asarray(Image.open(phantom / "masks" / path.name))
        Image.fromarray(table[mask]).save(folder / "mask" / f"{img_id}.png")
        rows.append(f"{img_id},{mini.folds[number]}")
    (folder / "cv.csv").write_text("\n".join(rows) + "\n")
    return folder


def prepared(name: str, source: Path, dest: Path, *, by_group: bool = False) -> Path:
    """Prepare a source as the study file says: with the official folds, or by slide."""
    regex = MINIATURES[name].group_regex if by_group else None
    options = PrepareOptions(config=description_of(name), group_regex=regex)
    prepare_dataset("sampath", source, dest, options, workers=1)
    return dest


def small_settings(name: str, data: Path) -> list[str]:
    """Overrides that make the paper's study one of seconds, and leave its form as it is."""
    size = MINIATURES[name].size_px
    return [
        f"dataset.path={data}",
        f"dataset.tile_px={size}",
        f"training.crop_px={size}",
        "model.encoder=[tu-test_vit, tu-test_vit3]",
        "model.encoder_weights=none",
        "model.channels=32",
        "model.heads=2",
        "model.mlp_channels=32",
        "model.embedding_channels=8",
        "training.steps=2",
        "training.batch_size=2",
        "training.warmup_steps=1",
        "training.validate_every=1",
        "training.ledger_every=1",
        "training.checkpoint_every=1",
        "evaluation.path_controls=1",
        "evaluation.dynamics_crops=4",
        "seeds=[0]",
    ]
