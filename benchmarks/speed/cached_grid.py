"""A grid of methods and seeds with features encoded once, beside scripts that encode in every step."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.method_cost import step_times, trainer_of
from benchmarks.speed import plain_training
from benchmarks.speed.clock import Spans, own_s, own_unit
from benchmarks.speed.phantom_job import TINY_DECODER, PhantomJob
from benchmarks.speed.row import Row
from benchmarks.speed.setting import Setting
from imbalance_bench.allocator import keep_freed_memory
from imbalance_bench.config import StudyConfig
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.planning import prepare_study
from imbalance_bench.training.feature_cache import FeatureCache
from imbalance_bench.training.loop import StageTrainer
from imbalance_bench.training.material import open_material

METHODS = ("cross_entropy", "inverse_sqrt", "focal", "cdb", "dfa")
# 600 crops against 50 cached views, about as many for each as `examples/consep.yaml` has by area; one seed, since the
# other side takes minutes
CPU = PhantomJob(steps=60, methods=METHODS, seeds=1, batch_size=2, crop_px=128, tile_px=128, images=6)
GPU = replace(CPU, steps=40, seeds=3, batch_size=8, crop_px=256, tile_px=256, images=24)
TINY = replace(CPU, steps=1, batch_size=1, crop_px=32, tile_px=64, images=1, views=1, model=TINY_DECODER, seeds=1)
REAL_STEPS = 300  # of examples/consep.yaml
STEP_CPU = PhantomJob(steps=100, batch_size=2, views=1, images=1)
STEP_TINY = replace(STEP_CPU, batch_size=1, crop_px=32, tile_px=64, model=TINY_DECODER)


@dataclass(frozen=True)
class Parts:
    """What one side took, in processor seconds on a CPU and seconds on a GPU.

    Attributes:
        whole: All of it.
        steps: Training steps.
        encoding: Views for the cache.
    """

    whole: float
    steps: float
    encoding: float = 0.0

    def times(self, factor: float) -> float:
        """Return what it would take with so many times the steps and cached views, and the rest as it is."""
        return self.whole + (factor - 1) * (self.steps + self.encoding)


def small_rows(setting: Setting) -> list[Row]:
    """Measure an encoder of the size of ViT-S."""
    return _rows(setting, "tu-vit_small_patch16_224", "ViT-S")


def large_rows(setting: Setting) -> list[Row]:
    """Measure an encoder of the size of ViT-L."""
    return _rows(setting, "tu-vit_large_patch16_224", "ViT-L")


def _rows(setting: Setting, encoder: str, name: str) -> list[Row]:
    keep_freed_memory()
    torch.set_num_threads(1)
    if setting.tiny:
        encoder, name = "tu-vit_tiny_patch16_224", "tiny ViT"
    job = replace(TINY if setting.tiny else GPU if setting.on_gpu else CPU, encoder=encoder)
    return [*_grid_rows(setting, job, name), _step_row(setting, replace(_step_job(setting), encoder=encoder), name)]


def _grid_rows(setting: Setting, job: PhantomJob, name: str) -> list[Row]:
    """Train all runs on both sides; the second row is computed from what was measured for the first."""
    config = job.config(setting, "grid")
    ours, theirs = _ours(setting, config), _theirs(setting, config)
    unit, aim, factor = own_unit(setting.device), 20 if setting.on_gpu else 8, REAL_STEPS / job.steps
    held_out = 2 * max(1, job.images // 4)
    crops = len(job.methods) * job.seeds * job.steps * job.batch_size
    note = (
        f"{crops} crops of {job.crop_px} px, {job.images * job.views + held_out} cached views; of ours steps "
        f"{ours.steps:.1f}, encoding {ours.encoding:.1f}; of theirs steps {theirs.steps:.1f}; the rest is building "
        "models, evaluation and, of ours, validation and records"
    )
    computed = (
        f"steps and encoding {factor:g} times as measured in the row above, the rest as it is; nothing was run at that "
        "size"
    )
    what = (
        f"{len(job.methods)} methods x {job.seeds} seed{'s' if job.seeds > 1 else ''}, frozen {name}, features cached"
    )
    against = "a plain loop, the same network, encoding in every step of every run"
    return [
        Row(f"{what}, {job.steps} steps", against, ours.whole, theirs.whole, unit, aim, "ratio at least", note),
        Row(
            f"computed: {what}, {REAL_STEPS} steps",
            "likewise",
            ours.times(factor),
            theirs.times(factor),
            unit,
            None,
            "ratio at least",
            computed,
        ),
    ]


def _ours(setting: Setting, config: StudyConfig) -> Parts:
    execution = Execution(setting.folder / "cache", engine="serial", workers=1, what_next=False)
    steps, encoding = (Spans(setting.device, time.process_time) for _ in range(2))
    with steps.watching(StageTrainer, "_take_step"), encoding.watching(FeatureCache, "open"):
        whole = own_s(lambda: execute_study(config, setting.folder / "study", execution), setting.device)
    return Parts(whole, steps.seconds, encoding.seconds)


def _theirs(setting: Setting, config: StudyConfig) -> Parts:
    study = prepare_study(config, setting.folder / "plain", lambda *_: None, write=False)
    steps = Spans(setting.device, time.process_time)
    with steps.watching(plain_training, "take_step"):
        whole = own_s(lambda: plain_training.train_all(study, torch.device(setting.device)), setting.device)
    return Parts(whole, steps.seconds)


def _step_job(setting: Setting) -> PhantomJob:
    return STEP_TINY if setting.tiny else replace(STEP_CPU, batch_size=8) if setting.on_gpu else STEP_CPU


def _step_row(setting: Setting, job: PhantomJob, name: str) -> Row:
    """Time steps alone, with and without a cache."""
    found = []
    for views, rounds in ((1, 1 if setting.tiny else 8), (0, 8 if setting.on_gpu and not setting.tiny else 1)):
        config = replace(job, views=views).config(setting, "step_tissue")
        found.append(1e3 * _least_step_s(config, setting.folder / f"step_{views}", setting, rounds))
    what = f"a training step, {job.batch_size} crops of {job.crop_px} px, frozen {name}, features cached"
    return Row(what, "the same step, encoding its crops", found[0], found[1], "ms", None, "ratio at least")


def _least_step_s(config: StudyConfig, root: Path, setting: Setting, rounds: int) -> float:
    study = prepare_study(config, root, lambda *_: None, write=False)
    data = open_material(study, setting.folder / "cache", torch.device(setting.device))
    trainer = trainer_of(study, study.runs[0], data)
    return min(step_times({"": trainer}, rounds)[""])
