"""How the time of encoding grows with the number of images."""

from dataclasses import replace

import torch

from benchmarks.speed.clock import own_s
from benchmarks.speed.growth import growth_row
from benchmarks.speed.phantom_job import PhantomJob
from benchmarks.speed.row import Row
from benchmarks.speed.setting import Setting
from imbalance_bench.allocator import keep_freed_memory
from imbalance_bench.planning import prepare_study
from imbalance_bench.training.material import open_material

IMAGES = (4, 12, 36)  # for training; half as many again are held out
JOB = PhantomJob(steps=1, views=2)


def rows(setting: Setting) -> list[Row]:
    """Cut and encode tiles of phantoms of growing size."""
    keep_freed_memory()
    torch.set_num_threads(1)
    device = torch.device(setting.device)
    spent, views = [], []
    for images in (1, 4) if setting.tiny else IMAGES:
        job = replace(JOB, images=images)
        job = replace(job, tile_px=64, crop_px=32) if setting.tiny else job
        config = job.config(setting, f"tissue_{images}")
        study = prepare_study(config, setting.folder / "study", lambda *_: None, write=False)
        cache = setting.folder / f"cache_{images}"
        spent.append(own_s(lambda study=study, cache=cache: open_material(study, cache, device), setting.device))
        views.append(images * job.views + 2 * max(1, images // 4))
    return [growth_row("encoding 256 px tiles" if not setting.tiny else "encoding", "views", views, spent)]
