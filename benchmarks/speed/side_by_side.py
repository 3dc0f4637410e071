"""Runs side by side in processes that share one GPU, beside one run after the other."""

from dataclasses import replace

from benchmarks.speed.clock import wall_s
from benchmarks.speed.phantom_job import TINY_DECODER, PhantomJob
from benchmarks.speed.row import Row
from benchmarks.speed.setting import Setting
from imbalance_bench.config import StudyConfig
from imbalance_bench.execution import Execution, execute_study

GPU = PhantomJob(steps=300, seeds=8, images=8)
TINY = replace(GPU, steps=1, seeds=2, batch_size=1, crop_px=32, tile_px=64, images=1, views=1, model=TINY_DECODER)


def rows(setting: Setting) -> list[Row]:
    """Execute the same study on both engines, its features cached before."""
    job = TINY if setting.tiny else GPU
    config = job.config(setting, "tissue")
    _execute(setting, config.model_copy(update={"seeds": (99,)}), "first", 1)  # encodes, and warms the disk up
    after = wall_s(lambda: _execute(setting, config, "one", 1), setting.device)
    beside = wall_s(lambda: _execute(setting, config, "many", job.seeds), setting.device)
    what = f"{job.seeds} runs of {job.steps} steps at once on one device, each in a process"
    note = "start of the processes included"
    return [Row(what, "one after another", beside, after, "s", 3, "ratio at least", note)]


def _execute(setting: Setting, config: StudyConfig, name: str, workers: int) -> None:
    engine = "serial" if workers == 1 else "process"
    execution = Execution(setting.folder / "cache", engine=engine, workers=workers, what_next=False)
    execute_study(config, setting.folder / name, execution)
