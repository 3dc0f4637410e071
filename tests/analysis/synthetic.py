"""Synthetic study records whose truth is known: a tiny prepared data set, its splits, and every file of every run.

Truth planted in the records:
- a pixel of class c is recognised with probability `TRUE_RECALL[c] + METHOD_GAIN[method]` (rarest class gains double),
  plus an effect of the image (shared by all methods and seeds) and one of the run;
- setting the bias of `dfa` to zero takes `INTERVENTION_LOSS` of that probability, permuting it half as much; raising
  the bias of one class adds as much to its probability;
- the bias that `dfa` learns is proportional to the rank of the class in `TRUE_DIFFICULTY`, plus noise of the seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image
from scipy.ndimage import gaussian_filter

from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.splits import Fold, Splits
from imbalance_bench.evaluation.image_tables import (
    BoundarySetting,
    ImageKeys,
    boundary_rows,
    confusion_rows,
    probability_rows,
)
from imbalance_bench.evaluation.probabilities import count_probabilities
from imbalance_bench.manifest import canonical_hash, write_json
from imbalance_bench.records import RunRecord, RunState
from imbalance_bench.seeding import generator
from imbalance_bench.table_files import write_table

METHODS = ("cross_entropy", "inverse_frequency", "focal", "cdb", "dfa")
METHOD_GAIN = {"cross_entropy": 0.0, "inverse_frequency": -0.04, "focal": 0.0, "cdb": 0.03, "dfa": 0.08}
INTERVENTION_LOSS = 0.06
UNIFORM_LOSS = 0.3  # recall that uniform attention weights cost every class of a live model
CLASS_NAMES = ("background", "tumour", "stroma", "necrosis", "vessel", "nerve", "fat", "mucin", "blood")
COLOURS = ("#ffffff", "#d62728", "#2ca02c", "#9467bd", "#1f77b4", "#ff7f0e", "#bcbd22", "#e377c2", "#8c564b")
TRUE_RECALL = np.array([0.90, 0.80, 0.72, 0.60, 0.50, 0.55, 0.65, 0.45, 0.70])
SIZE_PX = 96
MPP_UM = 0.5
STEPS = 300
LEDGER_STEPS = tuple(range(0, STEPS + 1, 30))

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


def true_difficulty(classes: int) -> np.ndarray:
    """Return the rank of each class by true difficulty, (classes,), 0 = easiest."""
    return np.argsort(np.argsort(1 - TRUE_RECALL[:classes])).astype(float)


@dataclass(frozen=True)
class _Scene:
    """What every run of the study shares."""

    root: Path
    names: tuple[str, ...]
    splits: Splits
    group_of: dict[str, str]
    masks: dict[str, np.ndarray]
    effects: dict[str, float]
    frequency: np.ndarray
    rng_seed: int
    borders: bool = False
    interventions: bool = False
    attention: str = ""


def write_synthetic_study(
    root: Path,
    *,
    methods: Sequence[str] = METHODS,
    seeds: int = 3,
    n_images: int = 14,
    classes: int = 5,
    rng_seed: int = 0,
    groups_known: bool = True,
    images_per_group: int = 1,
    absent_class: bool = False,
    folds: int = 1,
    dataset: bool = True,
    architecture: str = "class_query",
    analysis: dict[str, Any] | None = None,
    borders: bool = False,
    interventions: bool = False,
    attention: str = "",
) -> Path:
    """Write a finished study and the tiny prepared data set that it used.

    Args:
        root: Study directory to make.
        methods: Labels of methods; unknown ones behave like the control.
        seeds: Seeds per method.
        n_images: Test images (of every fold together).
        classes: K, 2 to 9.
        rng_seed: Same seed, same bytes.
        groups_known: False writes `groups_known: false` and makes each image its own group.
        images_per_group: Images of one slide, where groups are known.
        absent_class: The last class occurs in no test image.
        folds: 1, or more for cross-validation over the test images.
        dataset: False deletes the data set after use, so that measures have nothing to read.
        architecture: Of every run.
        analysis: Changes to the `analysis` part of plan.json.
        borders: Also write boundary counts, confusions and probabilities, as runs of today do; slower.
        interventions: Also write what `dfa` predicts after its bias was changed.
        attention: Also write path controls of every run, with attention that is `live` (uniform weights cost
            UNIFORM_LOSS), `inert`, or `cancelling` (they move models as far, but up and down).

    Returns:
        `root`.
    """
    root = Path(root)
    names = CLASS_NAMES[:classes]
    scene = _write_data(
        root, names, n_images, rng_seed, groups_known, images_per_group if groups_known else 1, absent_class, folds
    )
    scene = replace(scene, borders=borders, interventions=interventions, attention=attention)
    plan_runs = []
    for method in methods:
        for fold in range(folds):
            for seed in range(seeds):
                run_id = canonical_hash([method, fold, seed, rng_seed, architecture])[:12]
                keys = {"run_id": run_id, "method": method, "fold": fold, "seed": seed, "architecture": architecture}
                plan_runs.append(keys)
                _write_run(scene, keys)
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


def _write_data(
    root: Path,
    names: tuple[str, ...],
    n_images: int,
    rng_seed: int,
    groups_known: bool,
    images_per_group: int,
    absent_class: bool,
    folds: int,
) -> _Scene:
    parts = {"train": 10, "val": 4, "test": n_images}
    group_of: dict[str, str] = {}
    masks: dict[str, np.ndarray] = {}
    folder = root / "dataset"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    rows = []
    for part, count in parts.items():
        for number in range(count):
            image_id = f"{part}_{number:03d}"
            group_of[image_id] = f"{part}_slide_{number // images_per_group:03d}" if groups_known else image_id
            rng = generator(rng_seed, "tissue", image_id)
            mask = _mask(rng, len(names), without_last=absent_class and part == "test")
            masks[image_id] = mask
            Image.fromarray(_tissue(rng, mask)).save(folder / "images" / f"{image_id}.png")
            Image.fromarray(mask).save(folder / "masks" / f"{image_id}.png")
            rows.append([image_id, group_of[image_id], part if folds == 1 else "", SIZE_PX, SIZE_PX])
    index = pd.DataFrame(rows, columns=["image_id", "group_id", "split", "height_px", "width_px"])
    index.to_csv(folder / "index.csv", index=False)
    classes = [{"id": i, "name": name, "colour": COLOURS[i]} for i, name in enumerate(names)]
    info = {"name": "synthetic", "description": "planted truth", "mpp_um": MPP_UM, "unlabelled_id": 255}
    info |= {"groups_known": groups_known, "classes": classes}
    (folder / "dataset.yaml").write_text(yaml.safe_dump(info, sort_keys=False), encoding="utf-8")

    splits = _splits(parts, group_of, folds)
    splits.save(root / "splits.json")
    counts = np.array([np.bincount(masks[i].ravel(), minlength=256)[: len(names)] for i in splits.folds[0].train])
    write_json(
        root / "dataset.json",
        {
            "name": "synthetic",
            "path": str(folder.resolve()),
            "mpp_um": MPP_UM,
            "groups_known": groups_known,
            "data_hash": PreparedDataset.open(folder).content_hash(),
            "classes": classes,
            "merging": {"groups": {}, "ignore": []},
            "folds": [_fold_summary(fold, masks, len(names)) for fold in splits.folds],
            "n_images": len(masks),
        },
    )
    effects = {i: float(generator(rng_seed, "effect", i).normal(0, 0.05)) for i in masks}
    return _Scene(
        root, names, splits, group_of, masks, effects, counts.sum(0) / counts.sum().clip(1), rng_seed=rng_seed
    )


def _fold_summary(fold: Fold, masks: dict[str, np.ndarray], classes: int) -> dict[str, Any]:
    pixels = np.array([np.bincount(masks[i].ravel(), minlength=256)[:classes] for i in fold.train])
    train = {"pixels": pixels.sum(0).tolist(), "images": (pixels > 0).sum(0).tolist()}
    train["components"] = train["images"]
    return {"n_train": len(fold.train), "n_val": len(fold.val), "n_test": len(fold.test), "train": train}


def _splits(parts: dict[str, int], group_of: dict[str, str], folds: int) -> Splits:
    ids = {part: tuple(f"{part}_{n:03d}" for n in range(count)) for part, count in parts.items()}
    if folds == 1:
        return Splits("published", 0, (Fold(ids["train"], ids["val"], ids["test"]),))
    groups = sorted({group_of[i] for i in ids["test"]})
    drawn = []
    for fold in range(folds):
        tested = tuple(i for i in ids["test"] if groups.index(group_of[i]) % folds == fold)
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


def _write_run(scene: _Scene, keys: dict[str, Any]) -> None:
    run = RunRecord(scene.root / "runs" / keys["run_id"])
    method, fold, seed = keys["method"], keys["fold"], keys["seed"]
    (run.path / "predictions").mkdir(parents=True, exist_ok=True)
    counts = _predict(scene, run, keys)
    write_table(run.path / "counts.parquet", "counts", counts)
    if scene.interventions and method == "dfa":
        write_table(run.path / "interventions.parquet", "interventions", _interventions(scene, keys, counts))
    if scene.attention:
        write_table(run.path / "path_controls.parquet", "path_controls", _path_controls(scene, keys, counts))
    write_table(run.path / "epochs.parquet", "epochs", _epochs(scene, keys, counts))
    write_table(run.path / "class_parameters.parquet", "class_parameters", _ledger(scene, keys))
    shared = canonical_hash([fold, seed, keys["architecture"]])
    seconds = 60.0 + 5 * seed + 20 * (method == "dfa")
    write_json(
        run.path / "manifest.json",
        {
            "run_id": keys["run_id"],
            "study": scene.root.name,
            "schema": 1,
            "method": {"label": method, "parts": [{"name": method}]},
            "fold": fold,
            "seed": seed,
            "model": {"architecture": keys["architecture"]},
            "training": {"steps": STEPS},
            "pairing": {"initial_weights": shared, "batches": canonical_hash([shared]), "own_sampler": False},
            "hashes": {"data": "d" * 64, "splits": scene.splits.hash, "encoder_weights": None},
            "environment": {"device": "cpu", "precision": "float32", "deterministic": True, "threads": 1}
            | {"versions": {}, "code": {}},
            "cost": {"seconds": seconds, "steps": STEPS, "steps_per_second": STEPS / seconds, "peak_memory_mib": 512.0},
            "parameters": {"trainable": 1000, "total": 5000},
        },
    )
    run.write_status(RunState.DONE, step=STEPS, steps=STEPS)


def _predict(scene: _Scene, run: RunRecord, keys: dict[str, Any]) -> pd.DataFrame:
    """Flip pixels of the truth with the planted probabilities; write the masks and return their counts."""
    classes = len(scene.names)
    gain = np.full(classes, METHOD_GAIN.get(keys["method"], 0.0))
    gain[-1] *= 2
    run_rng = generator(scene.rng_seed, "run", keys["method"], keys["fold"], keys["seed"])
    recall = TRUE_RECALL[:classes] + gain + run_rng.normal(0, 0.01, classes)
    fold = scene.splits.folds[keys["fold"]]
    rows, confused, bounded, probable = [], [], [], []
    for split, ids in (("val", fold.val), ("test", fold.test)):
        for number, image_id in enumerate(ids):
            truth = scene.masks[image_id]
            hit = run_rng.random(truth.shape) < np.clip(recall + scene.effects[image_id], 0.02, 0.98)[truth]
            shift = run_rng.integers(1, classes, truth.shape) if classes > 1 else 0
            predicted = np.where(hit, truth, (truth + shift) % classes).astype(np.uint8)
            if split == "test" and number < 6:
                Image.fromarray(predicted).save(run.prediction_path(image_id))
            confusion = np.bincount(truth.ravel() * classes + predicted.ravel(), minlength=classes**2)
            confusion = confusion.reshape(classes, classes)
            if scene.borders:
                image = ImageKeys(image_id, scene.group_of[image_id], split)
                confused.append(confusion_rows(image, confusion))
                bounded.append(boundary_rows(image, predicted, truth, classes, BOUNDARY))
                logits = _logits(predicted, classes, generator(scene.rng_seed, "logits", keys["run_id"], image_id))
                probable.append(probability_rows(image, count_probabilities(logits, predicted, truth)))
            tp = confusion.diagonal()
            for c in range(classes):
                fp, fn = confusion[:, c].sum() - tp[c], confusion[c].sum() - tp[c]
                rows.append([image_id, scene.group_of[image_id], split, c, tp[c], fp, fn, truth.size])
    if scene.borders:
        write_table(run.path / "confusion.parquet", "confusion", pd.concat(confused, ignore_index=True))
        write_table(run.path / "boundary.parquet", "boundary", pd.concat(bounded, ignore_index=True))
        write_table(run.path / "probabilities.parquet", "probabilities", pd.concat(probable, ignore_index=True))
    columns = ["image_id", "group_id", "split", "class_id", "tp", "fp", "fn", "n_valid"]
    return pd.DataFrame(rows, columns=columns)


def _logits(predicted: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw logits whose largest is that of the predicted class, (K, H, W) float32."""
    raised = 3.0 * (np.arange(classes)[:, None, None] == predicted)
    return (raised + rng.uniform(-1, 1, raised.shape)).astype(np.float32)


def _interventions(scene: _Scene, keys: dict[str, Any], counts: pd.DataFrame) -> pd.DataFrame:
    """Move a share of each class's pixels from right to wrong, or back."""
    rng = generator(scene.rng_seed, "interventions", keys["run_id"])
    classes = len(scene.names)
    gains = {"learned": np.zeros(classes), "zeroed": np.full(classes, -INTERVENTION_LOSS)}
    gains |= {f"permuted_{number}": np.full(classes, -INTERVENTION_LOSS / 2) for number in range(2)}
    gains |= {f"shifted_{c}": INTERVENTION_LOSS * (np.arange(classes) == c) for c in range(classes)}
    frames = []
    for name, gain in gains.items():
        truth = (counts["tp"] + counts["fn"]).to_numpy()
        noise = 0.005 * rng.normal(size=len(counts)) * (name != "learned")
        moved = np.round(truth * (gain[counts["class_id"]] + noise)).astype(int)
        tp = np.clip(counts["tp"].to_numpy() + moved, 0, truth)
        frames.append(counts.assign(intervention=name, tp=tp, fn=truth - tp))
    return pd.concat(frames, ignore_index=True)


def _path_controls(scene: _Scene, keys: dict[str, Any], counts: pd.DataFrame) -> pd.DataFrame:
    """Move a share of each class's pixels: weights on all test images, doses on two of them."""
    tested, classes = counts[counts["split"] == "test"], len(scene.names)
    dosed = tested[tested["image_id"].isin(sorted(tested["image_id"].unique())[:2])]
    sign = -1 if scene.attention == "live" else 0 if scene.attention == "inert" else (-1) ** keys["seed"]
    loss = UNIFORM_LOSS * sign
    frames = [_moved(tested, np.zeros(classes), 0, scene, keys).assign(control="learned", target_id=-1, dose=0.0)]
    for control in ("uniform", "removed", "oracle", "rolled"):
        rows = _moved(tested, np.full(classes, loss), 0.001, scene, keys)
        frames.append(rows.assign(control=control, target_id=-1, dose=0.0))
    for c in range(classes):
        for dose in (-2.0, 2.0):
            of_bias = dose / 2 * (np.arange(classes) == c) * abs(loss)
            of_logit = dose / 2 * (np.arange(classes) == c) * UNIFORM_LOSS
            gains = {"bias_dose": of_bias, "logit_dose": of_logit, "logit_matched": of_logit}
            for control, gain in gains.items():
                rows = _moved(dosed, gain, 0, scene, keys)
                frames.append(rows.assign(control=control, target_id=c, dose=dose))
    return pd.concat(frames, ignore_index=True)


def _moved(counts: pd.DataFrame, gain: np.ndarray, noise: float, scene: _Scene, keys: dict[str, Any]) -> pd.DataFrame:
    """Move a share of the true pixels of each class from right to wrong, or back."""
    rng = generator(scene.rng_seed, "path", keys["run_id"])
    truth = (counts["tp"] + counts["fn"]).to_numpy()
    moved = np.round(truth * (gain[counts["class_id"]] + noise * rng.normal(size=len(counts)))).astype(int)
    tp = np.clip(counts["tp"].to_numpy() + moved, 0, truth)
    return counts.assign(tp=tp, fn=truth - tp)


def _epochs(scene: _Scene, keys: dict[str, Any], counts: pd.DataFrame) -> pd.DataFrame:
    rng = generator(scene.rng_seed, "epochs", keys["run_id"])
    validation = counts[counts.split == "val"].groupby("class_id")[["tp", "fp", "fn"]].sum()
    rows = []
    for step in LEDGER_STEPS[1:]:
        learned = 1 - np.exp(-3 * step / STEPS)
        parts = {"cross_entropy": 1.5 - learned + rng.normal(0, 0.02), "dice": 0.8 - 0.5 * learned}
        loss = {"loss": sum(parts.values()), **parts, "learning_rate": 1e-3}
        rows += [[0, step, "train", quantity, -1, value] for quantity, value in loss.items()]
        for c, row in validation.iterrows():
            rows += [[0, step, "val", quantity, c, round(row[quantity] * learned)] for quantity in ("tp", "fp", "fn")]
    return pd.DataFrame(rows, columns=["stage", "step", "split", "quantity", "class_id", "value"])


def _ledger(scene: _Scene, keys: dict[str, Any]) -> pd.DataFrame:
    classes, method = len(scene.names), keys["method"]
    rng = generator(scene.rng_seed, "ledger", keys["run_id"])
    rank = true_difficulty(classes)
    rank = rank - rank.mean()
    prior = 2 * np.log(np.clip(1 - scene.frequency, 1e-8, None))
    initial = 0.5 * (prior - prior.mean())
    noise = rng.normal(0, 0.08, (2, classes))
    rows = []
    for step in LEDGER_STEPS:
        learned = 1 - np.exp(-4 * step / STEPS)
        offset = learned * (0.3 * rank + noise[0])
        held = {"logit_gradient_norm": np.exp(-learned) * (1 + 0.2 * rank - rank.min() * 0.2)}
        if keys["architecture"] == "class_query":
            bias = initial + learned * (0.5 * rank + noise[1]) if method == "dfa" else 0.0
            offset = offset + bias
            held["effective_offset"] = offset
            held["attention_mass"] = np.exp(offset) / np.exp(offset).sum()
            if method == "dfa":
                held |= {"attention_bias": bias, "attention_bias_initial": initial, "attention_bias_prior": prior}
        if method == "inverse_frequency":
            weights = 1 / np.clip(scene.frequency, 1e-6, None)
            held["loss_weight"] = weights / weights.mean()
        if method == "cdb":
            held["difficulty"] = 1 - TRUE_RECALL[:classes] * learned
            held["loss_weight"] = held["difficulty"] / held["difficulty"].mean()
        rows += [[0, step, c, name, float(values[c])] for name, values in held.items() for c in range(classes)]
    return pd.DataFrame(rows, columns=["stage", "step", "class_id", "parameter", "value"])
