"""Records of one simulated run, with a planted truth: what it predicts, and everything that it writes.

Truth planted in the records:
- a pixel of class c is recognised with probability `TRUE_RECALL[c] + METHOD_GAIN[method]` (rarest class gains double),
  plus an effect of the image (shared by all methods and seeds) and one of the run;
- setting the bias of `dfa` to zero takes `INTERVENTION_LOSS` of that probability, permuting it half as much; raising
  the bias of one class adds as much to its probability;
- the bias that `dfa` learns is proportional to the rank of the class in `TRUE_DIFFICULTY`, plus noise of the seed.

A method is `dfa` if its label starts so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import norm

from imbalance_bench.data.splits import Splits
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

METHOD_GAIN = {"cross_entropy": 0.0, "inverse_frequency": -0.04, "focal": 0.0, "cdb": 0.03, "dfa": 0.08}
MODEL_GAIN = 0.05  # recall that the second of several models adds to every class; it halves the gain of a method
INTERVENTION_LOSS = 0.06
UNIFORM_LOSS = 0.3  # recall that uniform attention weights cost every class of a live model
TRUE_RECALL = np.array([0.90, 0.80, 0.72, 0.60, 0.50, 0.55, 0.65, 0.45, 0.70])
STEPS = 300
LEDGER_STEPS = tuple(range(0, STEPS + 1, 30))
SMOOTH_PX = 3.0  # size of the regions in which the predictions of `coherent` runs are wrong


@dataclass(frozen=True)
class Scene:
    """What every run of the study shares.

    Args:
        root: Study directory.
        names: Of the classes.
        splits: Of the images.
        group_of: Image id -> group.
        masks: Image id -> (H, W) uint8 truth.
        effects: Image id -> recall that it adds to every class.
        frequency: Share of each class in the training pixels, (K,).
        rng_seed: Same seed, same records.
        boundary: Distances counted at borders.
        gains: Label of a method -> recall that it adds to every class.
        models: Labels of several models; empty for one.
        borders: Whether boundary counts, confusions and probabilities are recorded.
        interventions: Whether predictions under a changed bias are recorded.
        attention: Kind of the path controls; empty for none.
        coherent: Whether wrong pixels lie together, as those of a real prediction, rather than each for itself.
    """

    root: Path
    names: tuple[str, ...]
    splits: Splits
    group_of: dict[str, str]
    masks: dict[str, np.ndarray]
    effects: dict[str, float]
    frequency: np.ndarray
    rng_seed: int
    boundary: BoundarySetting
    gains: Mapping[str, float]
    models: tuple[str, ...] = ()
    borders: bool = False
    interventions: bool = False
    attention: str = ""
    coherent: bool = False


def true_recall(classes: int) -> np.ndarray:
    """Return the recall of each class under the control, (classes,); beyond nine, a little below an earlier one."""
    place = np.arange(classes)
    return TRUE_RECALL[place % len(TRUE_RECALL)] - 0.013 * (place // len(TRUE_RECALL))


def true_difficulty(classes: int) -> np.ndarray:
    """Return the rank of each class by true difficulty, (classes,), 0 = easiest."""
    return np.argsort(np.argsort(1 - true_recall(classes))).astype(float)


def learns_a_bias(method: str) -> bool:
    """Return whether a method is `dfa`, under whatever label."""
    return method.startswith("dfa")


def write_run(scene: Scene, keys: dict[str, Any]) -> None:
    """Write every file of a finished run; `keys` is its row of plan.json."""
    run = RunRecord(scene.root / "runs" / keys["run_id"])
    method, fold, seed = keys["method"], keys["fold"], keys["seed"]
    (run.path / "predictions").mkdir(parents=True, exist_ok=True)
    counts = _predict(scene, run, keys)
    write_table(run.path / "counts.parquet", "counts", counts)
    if scene.interventions and learns_a_bias(method):
        write_table(run.path / "interventions.parquet", "interventions", _interventions(scene, keys, counts))
    if scene.attention:
        write_table(run.path / "path_controls.parquet", "path_controls", _path_controls(scene, keys, counts))
    write_table(run.path / "epochs.parquet", "epochs", _epochs(scene, keys, counts))
    write_table(run.path / "class_parameters.parquet", "class_parameters", _ledger(scene, keys))
    shared = canonical_hash([fold, seed, keys["architecture"]])
    seconds = 60.0 + 5 * seed + 20 * learns_a_bias(method)
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


def _predict(scene: Scene, run: RunRecord, keys: dict[str, Any]) -> pd.DataFrame:
    """Flip pixels of the truth with the planted probabilities; write the masks and return their counts."""
    classes = len(scene.names)
    several, second = scene.models, keys.get("model") in scene.models[1:]
    gain = np.full(classes, scene.gains.get(keys["method"], 0.0) * (0.5 if second else 1.0))
    gain[-1] *= 2
    of_model = (keys["model"],) if several else ()
    run_rng = generator(scene.rng_seed, "run", keys["method"], keys["fold"], keys["seed"], *of_model)
    recall = true_recall(classes) + gain + MODEL_GAIN * second + run_rng.normal(0, 0.01, classes)
    fold = scene.splits.folds[keys["fold"]]
    rows, confused, bounded, probable = [], [], [], []
    for split, ids in (("val", fold.val), ("test", fold.test)):
        for number, image_id in enumerate(ids):
            truth = scene.masks[image_id]
            level = np.clip(recall + scene.effects[image_id], 0.02, 0.98)[truth]
            predicted = _predicted(truth, level, classes, run_rng, coherent=scene.coherent)
            if split == "test" and number < 6:
                Image.fromarray(predicted).save(run.prediction_path(image_id))
            confusion = np.bincount(truth.ravel().astype(int) * classes + predicted.ravel(), minlength=classes**2)
            confusion = confusion.reshape(classes, classes)
            if scene.borders:
                image = ImageKeys(image_id, scene.group_of[image_id], split)
                confused.append(confusion_rows(image, confusion))
                bounded.append(boundary_rows(image, predicted, truth, classes, scene.boundary))
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


def _predicted(
    truth: np.ndarray, recall: np.ndarray, classes: int, rng: np.random.Generator, *, coherent: bool
) -> np.ndarray:
    """Return the truth with pixels lost to other classes, each with probability 1 - `recall`, (H, W) uint8."""
    chance = rng.random(truth.shape)
    shift = rng.integers(1, classes, truth.shape) if classes > 1 else np.zeros(truth.shape, int)
    if coherent:
        field = gaussian_filter(rng.normal(size=truth.shape), SMOOTH_PX)
        chance = norm.cdf(field / field.std())
        coarse = shift[:: truth.shape[0] // 4, :: truth.shape[1] // 4]
        shift = coarse.repeat(truth.shape[0] // 4, 0).repeat(truth.shape[1] // 4, 1)
    return np.where(chance < recall, truth, (truth + shift) % classes).astype(np.uint8)


def _logits(predicted: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw logits whose largest is that of the predicted class, (K, H, W) float32."""
    raised = 3.0 * (np.arange(classes)[:, None, None] == predicted)
    return (raised + rng.uniform(-1, 1, raised.shape)).astype(np.float32)


def _interventions(scene: Scene, keys: dict[str, Any], counts: pd.DataFrame) -> pd.DataFrame:
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


def _path_controls(scene: Scene, keys: dict[str, Any], counts: pd.DataFrame) -> pd.DataFrame:
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


def _moved(counts: pd.DataFrame, gain: np.ndarray, noise: float, scene: Scene, keys: dict[str, Any]) -> pd.DataFrame:
    """Move a share of the true pixels of each class from right to wrong, or back."""
    rng = generator(scene.rng_seed, "path", keys["run_id"])
    truth = (counts["tp"] + counts["fn"]).to_numpy()
    moved = np.round(truth * (gain[counts["class_id"]] + noise * rng.normal(size=len(counts)))).astype(int)
    tp = np.clip(counts["tp"].to_numpy() + moved, 0, truth)
    return counts.assign(tp=tp, fn=truth - tp)


def _epochs(scene: Scene, keys: dict[str, Any], counts: pd.DataFrame) -> pd.DataFrame:
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


def _ledger(scene: Scene, keys: dict[str, Any]) -> pd.DataFrame:
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
            bias = initial + learned * (0.5 * rank + noise[1]) if learns_a_bias(method) else 0.0
            offset = offset + bias
            held["effective_offset"] = offset
            held["attention_mass"] = np.exp(offset) / np.exp(offset).sum()
            if learns_a_bias(method):
                held |= {"attention_bias": bias, "attention_bias_initial": initial, "attention_bias_prior": prior}
        if method == "inverse_frequency":
            weights = 1 / np.clip(scene.frequency, 1e-6, None)
            held["loss_weight"] = weights / weights.mean()
        if method == "cdb":
            held["difficulty"] = 1 - true_recall(classes) * learned
            held["loss_weight"] = held["difficulty"] / held["difficulty"].mean()
        rows += [[0, step, c, name, float(values[c])] for name, values in held.items() for c in range(classes)]
    return pd.DataFrame(rows, columns=["stage", "step", "class_id", "parameter", "value"])
