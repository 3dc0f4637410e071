"""Cross-entropy + Dice on a frozen encoder: our command beside a script on SMP and MONAI, and whether Dice is equal."""

import json
from dataclasses import dataclass, replace

import numpy as np
import yaml
from scipy import stats

from benchmarks.speed.child import ROOT, Child, run_python
from benchmarks.speed.phantom_job import PhantomJob
from benchmarks.speed.plain_training import recorded_dice
from benchmarks.speed.row import Row
from benchmarks.speed.setting import Setting
from imbalance_bench.records import StudyRecords

WEIGHTS = ROOT.parent / "shared" / "weights" / "tf_efficientnet_lite0_in1k.safetensors"
TURNS_ALONE = {"augmentation": {"stain_strength": 0, "colour_strength": 0}}
CPU = PhantomJob(
    steps=100,
    seeds=3,
    batch_size=4,
    crop_px=128,
    images=8,
    training=TURNS_ALONE,
    evaluation={},
    model={"architecture": "unet"},
)
GPU = replace(CPU, steps=300, batch_size=8, crop_px=256, tile_px=512, images=16)
TINY = replace(CPU, steps=2, seeds=2, crop_px=32, tile_px=64, images=2, batch_size=2)


@dataclass(frozen=True)
class Side:
    """What one side took.

    Attributes:
        child: The process.
        dice: Macro Dice of each seed, 0..1.
    """

    child: Child
    dice: list[float]


def rows(setting: Setting) -> list[Row]:
    """Run both commands and compare time and Dice."""
    job = TINY if setting.tiny else GPU if setting.on_gpu else CPU
    if WEIGHTS.exists():
        job = replace(job, model=job.model | {"encoder_weights": str(WEIGHTS)})
    ours, theirs = _ours(setting, job), _theirs(setting, job)
    encoder = "with ImageNet weights" if WEIGHTS.exists() else "with random weights"
    what = f"cross-entropy + Dice, {job.seeds} seeds x {job.steps} steps of {job.batch_size} crops of {job.crop_px} px"
    note = (
        f"U-Net on a frozen tf_efficientnet_lite0 {encoder}, on phantom tissue, start of the process to its end; "
        f"CPU s {ours.child.cpu_s:.0f} against {theirs.child.cpu_s:.0f}; ours records counts, boundaries and "
        "probabilities as well"
    )
    return [
        Row(what, "a script on SMP + MONAI", ours.child.seconds, theirs.child.seconds, "s", 3, "ratio at least", note),
        _dice_row(ours, theirs),
    ]


def _dice_row(ours: Side, theirs: Side) -> Row:
    """Difference of Dice beside what Welch's interval allows for; it says little about few seeds."""
    first, second = 100 * np.asarray(ours.dice), 100 * np.asarray(theirs.dice)
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    half_width = float(interval.high - interval.low) / 2
    spread = " against ".join(f"{each.mean():.1f} (SD {each.std(ddof=1):.1f})" for each in (first, second))
    return Row(
        "difference in macro Dice of the two",
        "",
        abs(float(first.mean() - second.mean())),
        None,
        "points",
        half_width,
        "at most",
        f"{spread} over {len(first)} seeds each; the aim is the half-width of Welch's 95 % interval",
    )


def _ours(setting: Setting, job: PhantomJob) -> Side:
    file, out = setting.folder / "study.yaml", setting.folder / "study"
    file.write_text(yaml.safe_dump(job.config(setting, "tissue").dump()), encoding="utf-8")
    cache = setting.folder / "cache"
    child = run_python("-m", "imbalance_bench.cli", "run", file, "--out", out, "--cache", cache)
    return Side(child, [recorded_dice(run) for run in StudyRecords(out).runs()])


def _theirs(setting: Setting, job: PhantomJob) -> Side:
    words = ["-m", "benchmarks.speed.monai_script", setting.folder / "tissue", "--encoder", job.encoder]
    words += ["--device", setting.device, "--steps", job.steps, "--crop", job.crop_px, "--batch", job.batch_size]
    words += ["--seeds", job.seeds, "--tile", job.tile_px]
    if WEIGHTS.exists():
        words += ["--weights", WEIGHTS]
    child = run_python(*words)
    return Side(child, json.loads(child.told.splitlines()[-1]))
