"""Training steps: what DFA costs, and what surrounds the arithmetic."""

import statistics
from contextlib import ExitStack
from dataclasses import replace

import torch

from benchmarks.method_cost import step_times, trainer_of
from benchmarks.speed.clock import Spans, wall_s
from benchmarks.speed.phantom_job import TINY_DECODER, PhantomJob
from benchmarks.speed.row import Row
from benchmarks.speed.setting import Setting
from imbalance_bench.models.class_query import ClassQueryDecoder
from imbalance_bench.models.pixel_map import PixelMapDecoder
from imbalance_bench.models.segmenter import Segmenter
from imbalance_bench.planning import prepare_study
from imbalance_bench.training import image_evaluation
from imbalance_bench.training.material import open_material
from imbalance_bench.training.optimisation import Optimisation
from imbalance_bench.training.run import execute_run
from methods.cross_entropy import CrossEntropyDice

SMALL = PhantomJob(steps=1, methods=("cross_entropy", "dfa"), batch_size=4, images=4, views=2, evaluation={})
OVERHEAD_AIM = {"cpu": 1.10, "cuda": 1.25}


def step_rows(setting: Setting) -> list[Row]:
    """Time steps of the base and of DFA in turn."""
    torch.set_num_threads(1)
    job = _job(setting, 12)
    study = prepare_study(job.config(setting, "tissue"), setting.folder / "study", lambda *_: None, write=False)
    data = open_material(study, setting.folder / "cache", torch.device(setting.device))
    trainers = {run.method.label: trainer_of(study, run, data) for run in study.runs}
    times = step_times(trainers, 1 if setting.tiny else 12)
    base, dfa = (1e3 * statistics.median(each) for each in times.values())
    what = f"a step of DFA, {job.batch_size} crops of {job.crop_px} px"
    return [Row(what, "the same decoder without bias", dfa, base, "ms", 1.02, "ratio at most")]


def overhead_rows(setting: Setting) -> list[Row]:
    """Time whole runs, and the forward and backward passes and optimiser steps in them."""
    torch.set_num_threads(1)
    job = _job(setting, 2 if setting.tiny else 300 if setting.on_gpu else 100)
    study = prepare_study(job.config(setting, "tissue"), setting.folder / "study", lambda *_: None)
    cache, arithmetic = setting.folder / "cache", Spans(setting.device)
    open_material(study, cache, torch.device(setting.device))
    parts = (
        (Segmenter, "forward"),
        (Segmenter, "decode"),
        # of an image that is decoded several times, with other biases
        (PixelMapDecoder, "prepare"),
        (ClassQueryDecoder, "finish"),
        (image_evaluation, "enlarge"),
        (CrossEntropyDice, "forward"),
        (torch.Tensor, "backward"),
        (Optimisation, "step"),
    )
    with ExitStack() as watched:
        for owner, name in parts:
            watched.enter_context(arithmetic.watching(owner, name))
        wall = wall_s(lambda: [execute_run(study, run, cache, lambda *_: None) for run in study.runs], setting.device)
    costs = [study.records.run(run.run_id).manifest()["cost"] for run in study.runs]
    evaluated = sum(sum(cost.get("evaluation_seconds", {}).values()) for cost in costs)
    what = f"{len(study.runs)} runs of {job.steps} steps"
    against = "their forward passes with the loss, backward passes and optimiser steps"
    note = (
        f"records, validation and checkpoints included; {evaluated:.1f} s are the evaluation of whole images at the "
        "end, of which passes with other biases count as forward passes"
    )
    aim = OVERHEAD_AIM[setting.device]
    return [Row(what, against, wall, arithmetic.seconds, "s", aim, "ratio at most", note)]


def _job(setting: Setting, steps: int) -> PhantomJob:
    """Cross-entropy and DFA on crops of 256 px, with everything that a run records by default."""
    size = replace(SMALL, batch_size=1, crop_px=32, tile_px=64, images=1, model=TINY_DECODER) if setting.tiny else SMALL
    return replace(size, steps=steps, training={"validate_every": 100, "ledger_every": 25, "checkpoint_every": 50})
