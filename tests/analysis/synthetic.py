"""Synthetic study records whose truth is known: a tiny prepared data set, its splits, and every file of every run.

The truth that is planted in them is that of `synthetic_runs`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image
from scipy.ndimage import gaussian_filter
from seaborn import color_palette

from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.splits import Fold, Splits
from imbalance_bench.evaluation.image_tables import BoundarySetting
from imbalance_bench.manifest import canonical_hash, write_json
from imbalance_bench.seeding import generator
from tests.analysis.synthetic_runs import METHOD_GAIN, Scene, write_run

METHODS = ("cross_entropy", "inverse_frequency", "focal", "cdb", "dfa")
CLASS_NAMES = ("background", "tumour", "stroma", "necrosis", "vessel", "nerve", "fat", "mucin", "blood")
COLOURS = ("#ffffff", "#d62728", "#2ca02c", "#9467bd", "#1f77b4", "#ff7f0e", "#bcbd22", "#e377c2", "#8c564b")
SIZE_PX = 96
MPP_UM = 0.5

BOUNDARY = BoundarySetting((MPP_UM, MPP_UM), 0.02, boundary_um=(1.0,), surface_um=(1.0,), trimap_um=(1.0, 4.0))
ANALYSIS = {
    "control": "cross_entropy",
    "alpha": 0.05,
    "rope_dice": 0.01,
    "resamples": 1000,
    "permutations": 10000,
    "seed": 0,
    "reliability_floor": 0.5,
    "boundary_band_um": 2.0,
    "unit": "auto",
}


def write_synthetic_study(
    root: Path,
    *,
    methods: Sequence[str] = METHODS,
    seeds: int = 3,
    n_images: int = 14,
    classes: int = 5,
    names: Sequence[str] = (),
    rng_seed: int = 0,
    groups_known: bool = True,
    images_per_group: int = 1,
    absent_class: bool = False,
    folds: int = 1,
    repeats: int = 1,
    rotate: bool = False,
    mpp_um: float | None = MPP_UM,
    dataset: bool = True,
    architecture: str = "class_query",
    models: Sequence[str] = (),
    gains: Mapping[str, float] | None = None,
    analysis: dict[str, Any] | None = None,
    borders: bool = False,
    interventions: bool = False,
    attention: str = "",
    coherent: bool = False,
) -> Path:
    """Write a finished study and the tiny prepared data set that it used.

    Args:
        root: Study directory to make.
        methods: Labels of methods; unknown ones behave like the control.
        seeds: Seeds per method.
        n_images: Test images (of every fold together).
        classes: K, 2 to 9, of CLASS_NAMES.
        names: Names of the classes instead, at most 20.
        rng_seed: Same seed, same bytes.
        groups_known: False writes `groups_known: false` and makes each image its own group.
        images_per_group: Images of one slide, where groups are known.
        absent_class: The last class occurs in no test image.
        folds: 1, or more for cross-validation over the test images.
        repeats: Cross-validations with other folds, one after the other.
        rotate: Every fold tests all test images instead.
        mpp_um: Micrometres per pixel; None where unknown.
        dataset: False deletes the data set after use, so that measures have nothing to read.
        architecture: Of every run.
        models: Labels of several models, each with every method; the second differs as `MODEL_GAIN` says.
        gains: Method -> recall that it adds, instead of METHOD_GAIN.
        analysis: Changes to the `analysis` part of plan.json.
        borders: Also write boundary counts, confusions and probabilities, as runs of today do; slower.
        interventions: Also write what `dfa` predicts after its bias was changed.
        attention: Also write path controls of every run, with attention that is `live` (uniform weights cost
            UNIFORM_LOSS), `inert`, or `cancelling` (they move models as far, but up and down).
        coherent: Wrong pixels lie together, so that predictions look like those of a model.

    Returns:
        `root`.
    """
    root, several = Path(root), tuple(models)
    tissue = _Tissue(
        tuple(names) or CLASS_NAMES[:classes], n_images, rng_seed, groups_known,
        images_per_group if groups_known else 1, absent_class, folds, repeats, rotate, mpp_um,
    )  # fmt: skip
    scene = _write_data(root, tissue)
    scene = replace(scene, borders=borders, interventions=interventions, attention=attention)
    scene = replace(scene, gains=gains or METHOD_GAIN, models=several, coherent=coherent)
    plan_runs = []
    for model, method, fold, seed in product(several or (None,), methods, range(folds * repeats), range(seeds)):
        of_model = {} if model is None else {"model": model}
        run_id = canonical_hash([method, fold, seed, rng_seed, architecture, *of_model.values()])[:12]
        keys = {"run_id": run_id, "method": method, "fold": fold, "seed": seed, "architecture": architecture}
        plan_runs.append(keys | of_model)
        write_run(scene, keys | of_model)
    settings = ANALYSIS | (analysis or {})
    write_json(
        root / "plan.json",
        {
            "name": root.name,
            "created": "2026-01-01T00:00:00+00:00",
            "question": "Does the learned bias follow frequency or difficulty?",
            "runs": plan_runs,
            "evaluation": {"trimap_um": list(BOUNDARY.trimap_um)},
            "analysis": settings,
            "analysis_hash": canonical_hash(settings),
        },
    )
    if not dataset:
        for path in sorted((root / "dataset").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (root / "dataset").rmdir()
    return root


@dataclass(frozen=True)
class _Tissue:
    """What the data set is."""

    names: tuple[str, ...]
    n_images: int
    rng_seed: int
    groups_known: bool
    images_per_group: int
    absent_class: bool
    folds: int
    repeats: int
    rotate: bool
    mpp_um: float | None

    @property
    def colours(self) -> Sequence[str]:
        """One per class."""
        count = len(self.names)
        return COLOURS[:count] if count <= len(COLOURS) else color_palette("tab20", count).as_hex()

    @property
    def boundary(self) -> BoundarySetting:
        """The distances that are counted."""
        return replace(BOUNDARY, mpp_um=None if self.mpp_um is None else (self.mpp_um, self.mpp_um))


def _write_data(root: Path, tissue: _Tissue) -> Scene:
    names, rng_seed, folds = tissue.names, tissue.rng_seed, tissue.folds
    parts = {"train": 10, "val": 4, "test": tissue.n_images}
    group_of: dict[str, str] = {}
    masks: dict[str, np.ndarray] = {}
    folder = root / "dataset"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    rows = []
    for part, count in parts.items():
        for number in range(count):
            image_id = f"{part}_{number:03d}"
            group = f"{part}_slide_{number // tissue.images_per_group:03d}"
            group_of[image_id] = group if tissue.groups_known else image_id
            rng = generator(rng_seed, "tissue", image_id)
            mask = _mask(rng, len(names), without_last=tissue.absent_class and part == "test")
            masks[image_id] = mask
            Image.fromarray(_tissue(rng, mask)).save(folder / "images" / f"{image_id}.png")
            Image.fromarray(mask).save(folder / "masks" / f"{image_id}.png")
            rows.append([image_id, group_of[image_id], part if folds == 1 else "", SIZE_PX, SIZE_PX])
    index = pd.DataFrame(rows, columns=["image_id", "group_id", "split", "height_px", "width_px"])
    index.to_csv(folder / "index.csv", index=False)
    classes = [{"id": i, "name": name, "colour": tissue.colours[i]} for i, name in enumerate(names)]
    info = {"name": "synthetic", "description": "planted truth", "mpp_um": tissue.mpp_um, "unlabelled_id": 255}
    info |= {"groups_known": tissue.groups_known, "classes": classes}
    (folder / "dataset.yaml").write_text(yaml.safe_dump(info, sort_keys=False), encoding="utf-8")

    splits = _splits(parts, group_of, folds, tissue.repeats)
    if tissue.rotate:
        splits = replace(splits, folds=_splits(parts, group_of, 1, 1).folds * folds)
    splits.save(root / "splits.json")
    counts = np.array([np.bincount(masks[i].ravel(), minlength=256)[: len(names)] for i in splits.folds[0].train])
    write_json(
        root / "dataset.json",
        {
            "name": "synthetic",
            "path": str(folder.resolve()),
            "mpp_um": tissue.mpp_um,
            "groups_known": tissue.groups_known,
            "data_hash": PreparedDataset.open(folder).content_hash(),
            "classes": classes,
            "merging": {"groups": {}, "ignore": []},
            "folds": [_fold_summary(fold, masks, len(names)) for fold in splits.folds],
            "n_images": len(masks),
        },
    )
    effects = {i: float(generator(rng_seed, "effect", i).normal(0, 0.05)) for i in masks}
    frequency = counts.sum(0) / counts.sum().clip(1)
    return Scene(
        root, names, splits, group_of, masks, effects, frequency, rng_seed, boundary=tissue.boundary, gains=METHOD_GAIN
    )


def _fold_summary(fold: Fold, masks: dict[str, np.ndarray], classes: int) -> dict[str, Any]:
    pixels = np.array([np.bincount(masks[i].ravel(), minlength=256)[:classes] for i in fold.train])
    train = {"pixels": pixels.sum(0).tolist(), "images": (pixels > 0).sum(0).tolist()}
    train["components"] = train["images"]
    return {"n_train": len(fold.train), "n_val": len(fold.val), "n_test": len(fold.test), "train": train}


def _splits(parts: dict[str, int], group_of: dict[str, str], folds: int, repeats: int) -> Splits:
    ids = {part: tuple(f"{part}_{n:03d}" for n in range(count)) for part, count in parts.items()}
    if folds == 1:
        return Splits("published", 0, (Fold(ids["train"], ids["val"], ids["test"]),))
    groups = sorted({group_of[i] for i in ids["test"]})
    drawn = []
    places = {group: place for place, group in enumerate(groups)}
    for repeat, fold in product(range(repeats), range(folds)):
        tested = tuple(i for i in ids["test"] if places[group_of[i]] // folds**repeat % folds == fold)
        rest = tuple(i for i in ids["test"] if i not in tested)
        drawn.append(Fold(ids["train"] + rest, ids["val"], tested))
    return Splits("grouped", 0, tuple(drawn))


def _mask(rng: np.random.Generator, classes: int, *, without_last: bool) -> np.ndarray:
    """Draw a (SIZE_PX, SIZE_PX) uint8 mask; later classes are rarer and their regions smaller."""
    used = classes - 1 if without_last and classes > 1 else classes
    sigmas = np.linspace(7, 3, classes)
    fields = np.stack([gaussian_filter(rng.normal(size=(SIZE_PX, SIZE_PX)), sigma) * sigma for sigma in sigmas])
    offsets = np.linspace(0.45, -0.15, classes)[:, None, None]
    mask = (fields + offsets)[:used].argmax(0).astype(np.uint8)
    for rare in range(1, used):  # each class occurs, as an island away from the border
        top, left = rng.integers(6, SIZE_PX - 18, 2)
        mask[top : top + 6 + rng.integers(6), left : left + 6 + rng.integers(6)] = rare
    return mask


def _tissue(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """Paint an H&E-like image: haematoxylin grows with the class id, eosin falls."""
    od_h = gaussian_filter(0.15 + 0.12 * mask.astype(float), 0.8)
    od_e = gaussian_filter(0.70 - 0.05 * mask.astype(float), 0.8)
    stains = np.stack([od_h, od_e], -1) * rng.lognormal(0, 0.15, (*mask.shape, 2))
    vectors = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    return np.clip(255 * np.exp(-stains @ vectors), 0, 255).round().astype(np.uint8)
