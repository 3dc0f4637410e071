"""What share of a GPU's arithmetic and memory bandwidth a training step reaches."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.method_cost import trainer_of
from benchmarks.speed.clock import wall_s
from benchmarks.speed.phantom_job import TINY_DECODER, PhantomJob
from benchmarks.speed.row import Row
from benchmarks.speed.setting import Setting
from benchmarks.speed.traffic import traffic_of
from imbalance_bench.planning import prepare_study
from imbalance_bench.training.loop import StageTrainer
from imbalance_bench.training.material import open_material

JOB = PhantomJob(steps=1000, batch_size=32, views=1)
WARM_UP, ROUNDS = 3, 20
PRETENDED = "H100"  # where there is no GPU, to see whether this works
TINY = replace(JOB, batch_size=1, crop_px=32, tile_px=64, images=1, model=TINY_DECODER)


@dataclass(frozen=True)
class Limit:
    """Of a device, as its datasheet says.

    Attributes:
        flops: Dense bfloat16 operations a second.
        bandwidth: Bytes a second of its memory.
    """

    flops: float
    bandwidth: float


# NVIDIA's datasheets of the H100 and H200 Tensor Core GPUs, without sparsity; a name with more words comes first
DATASHEETS = {
    "H200 NVL": Limit(835e12, 4.8e12),
    "H200": Limit(989e12, 4.8e12),
    "H100 PCIe": Limit(756e12, 2.0e12),
    "H100 NVL": Limit(835e12, 3.9e12),
    "H100": Limit(989e12, 3.35e12),
}


def rows(setting: Setting) -> list[Row]:
    """Time steps, count their operations and bytes, and watch how long the device is busy."""
    job = TINY if setting.tiny else JOB
    name = torch.cuda.get_device_name() if setting.on_gpu else PRETENDED
    trainers = {
        precision: _trainer(setting, replace(job, training={"precision": precision}), precision)
        for precision in ("bfloat16", "float32")
    }
    brief, full = (_median_s(partial(_take, trainer), setting) for trainer in trainers.values())
    what = f"a training step, batch {job.batch_size}, crops of {job.crop_px} px, bfloat16"
    found = [Row(what, "float32", 1e3 * brief, 1e3 * full, "ms", None, "ratio at least")]
    limit = limit_of(name)
    if limit is not None:
        found.append(_limit_row(trainers["bfloat16"], brief, limit, f"{name}, batch {job.batch_size}", setting))
    return found


def captured_rows(setting: Setting) -> list[Row]:
    """Time what a step does between its crops and its optimiser, operator by operator and as one CUDA graph.

    The graph is of one batch alone: it says what launches cost, and is used nowhere.
    """
    job = replace(TINY if setting.tiny else replace(JOB, batch_size=4), training={"precision": "float32"})
    trainer = _trainer(setting, job, "captured")
    data, segmenter = trainer._setting.data, trainer._segmenter  # pyright: ignore[reportPrivateUsage]
    batch = data.training_batch(next(iter(trainer._setting.batches.of_step(0))))  # pyright: ignore[reportPrivateUsage]
    for parameter in segmenter.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None

    def act() -> None:
        logits = data.training_logits(segmenter, batch)
        trainer._loss(logits, batch.target, batch.valid, 0).total.backward()  # pyright: ignore[reportPrivateUsage]

    captured = _captured(act) if setting.on_gpu else act  # without a GPU, to see whether the rest works
    what = f"decoding, loss and backward pass of {job.batch_size} crops of {job.crop_px} px, as a captured CUDA graph"
    whole, single = (1e3 * _median_s(one, setting) for one in (captured, act))
    return [Row(what, "operator by operator", whole, single, "ms", None, "ratio at least", "not built in")]


def _captured(act: Callable[[], None]) -> Callable[[], None]:
    """Return what repeats an action as one CUDA graph."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):  # buffers must exist before the capture
        for _ in range(WARM_UP):
            act()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        act()
    return graph.replay


def _limit_row(trainer: StageTrainer, seconds: float, limit: Limit, of: str, setting: Setting) -> Row:
    with FlopCounterMode(display=False) as counter:
        _take(trainer)
    flops, n_bytes = counter.get_total_flops(), traffic_of(lambda: _take(trainer))
    reached = {"operations": flops / seconds / limit.flops, "bytes": n_bytes / seconds / limit.bandwidth}
    nearest = max(reached, key=lambda key: reached[key])
    note = (
        f"{flops / 1e12:.3f} Tflop are {100 * reached['operations']:.1f} % of what the datasheet allows in this time, "
        f"and {n_bytes / 1e9:.2f} GB that the operators read and write {100 * reached['bytes']:.1f} %; operators run "
        f"{100 * _busy_share(trainer, setting):.0f} % of the time"
    )
    what = f"share of the device's limit ({nearest}) that a training step in bfloat16 reaches, {of}"
    return Row(what, "", 100 * reached[nearest], None, "%", 40, "at least", note)


def limit_of(name: str) -> Limit | None:
    """Return the limits of a device of this name; None: its datasheet is not known here."""
    return next((DATASHEETS[key] for key in DATASHEETS if all(word in name for word in key.split())), None)


def _trainer(setting: Setting, job: PhantomJob, name: str) -> StageTrainer:
    study = prepare_study(job.config(setting, "tissue"), setting.folder / name, lambda *_: None, write=False)
    data = open_material(study, setting.folder / "cache", torch.device(setting.device))
    return trainer_of(study, study.runs[0], data)


def _median_s(act: Callable[[], None], setting: Setting) -> float:
    rounds = 1 if setting.tiny else ROUNDS
    spent = [wall_s(act, setting.device) for _ in range(WARM_UP + rounds)]
    return statistics.median(spent[WARM_UP:])


def _busy_share(trainer: StageTrainer, setting: Setting) -> float:
    """Share of the time in which the device, or the operators of a CPU, worked: 5 steps under the profiler."""
    kinds = [ProfilerActivity.CUDA] if setting.on_gpu else [ProfilerActivity.CPU]
    steps = 1 if setting.tiny else 5
    with profile(activities=kinds) as recorded:
        wall = wall_s(lambda: [_take(trainer) for _ in range(steps)], setting.device)
    events = recorded.key_averages()
    spent = sum(event.self_device_time_total if setting.on_gpu else event.self_cpu_time_total for event in events)
    return spent / 1e6 / wall


def _take(trainer: StageTrainer) -> None:
    trainer._take_step(with_gradient_norms=False)  # pyright: ignore[reportPrivateUsage]
