"""Studies of phantom tissue of any size, for rows that train."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.faults.small_study import SMALL
from benchmarks.speed.setting import Setting
from imbalance_bench.config import StudyConfig, parse_study
from imbalance_bench.data.phantom import PRESETS, generate_phantom

TINY_DECODER = {key: value for key, value in SMALL["model"].items() if not key.startswith("encoder")}
NOTHING_BESIDE_PIXELS = {
    "path_controls": 0, "permuted_biases": 0, "dynamics_crops": 0, "boundary_um": [], "surface_um": [], "trimap_um": [],
}  # fmt: skip


@dataclass(frozen=True)
class PhantomJob:
    """A study of square images that are one tile each.

    Attributes:
        steps: Of each run.
        encoder: Name; its weights are random unless `model` says otherwise.
        methods: Names.
        seeds: Number of seeds.
        batch_size: Crops of a step.
        crop_px: Their edge.
        tile_px: Edge of the images.
        images: For training; a quarter as many, at least one, each for validation and test.
        views: Cached of each training image; 0: no cache.
        model: Further keys of the study's `model`.
        training: Further keys of `training`.
        evaluation: Of the study.
    """

    steps: int
    encoder: str = "tu-tf_efficientnet_lite0"
    methods: tuple[str, ...] = ("cross_entropy",)
    seeds: int = 1
    batch_size: int = 8
    crop_px: int = 256
    tile_px: int = 256
    images: int = 4
    views: int = 8
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=lambda: NOTHING_BESIDE_PIXELS)

    def config(self, setting: Setting, name: str) -> StudyConfig:
        """Make its phantom where it is not there, and return the study.

        Args:
            setting: Folder and device.
            name: Of the folder of the phantom.
        """
        augmentation = {"cached_views": self.views, **self.training.get("augmentation", {})}
        every = dict.fromkeys(("validate_every", "ledger_every", "checkpoint_every"), self.steps)
        training = {"steps": self.steps, "batch_size": self.batch_size, "crop_px": self.crop_px, "warmup_steps": 5}
        data = self.phantom(setting.folder / name)
        content = {
            "name": "speed",
            "dataset": {"path": str(data), "tile_px": self.tile_px, "stride_px": self.tile_px},
            "model": {"encoder": self.encoder, "encoder_weights": "none", **self.model},
            "training": {**training, **every, **self.training, "augmentation": augmentation},
            "evaluation": self.evaluation,
            "compute": {"device": setting.device, "saved_predictions": 0},
            "methods": list(self.methods),
            "seeds": list(range(self.seeds)),
        }
        return parse_study(content, source="benchmark")

    def phantom(self, folder: Path) -> Path:
        """Make the images where they are not there; every pixel has a label."""
        if not folder.exists():
            spec = PRESETS["tissue"]
            held_out = max(1, self.images // 4)
            groups = spec.groups.model_copy(update={"train": self.images, "val": held_out, "test": held_out})
            region_um = min(spec.region_um, self.tile_px * spec.mpp_um / 3)
            changed = {"size_px": self.tile_px, "images_per_group": 1, "groups": groups}
            generate_phantom(
                spec.model_copy(update=changed | {"region_um": region_um, "unlabelled_share": 0.0}), folder
            )
        return folder
