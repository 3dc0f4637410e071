"""The study that faults are done to: three classes, a few images, six steps, three methods and two seeds."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.faults.commands import invoke
from imbalance_bench.data.phantom import PRESETS, generate_phantom

SMALL: dict[str, Any] = {
    "model": {
        "encoder": "tu-test_resnet", "encoder_weights": "none", "channels": 16, "heads": 2, "mlp_channels": 16,
        "pixel_channels": [16, 8, 8], "embedding_channels": 8,
    },
    "training": {
        "steps": 6, "batch_size": 2, "crop_px": 32, "warmup_steps": 2, "validate_every": 3, "ledger_every": 2,
        "checkpoint_every": 2, "augmentation": {"cached_views": 2},
    },
    "analysis": {"resamples": 200, "permutations": 200},
    "evaluation": {"path_controls": 0, "permuted_biases": 1},
}  # fmt: skip
METHODS = ("cross_entropy", "focal", "dfa")


@dataclass(frozen=True)
class SmallStudy:
    """Where things are.

    Attributes:
        root: Folder of everything.
    """

    root: Path

    @property
    def data(self) -> Path:
        """The prepared data set."""
        return self.root / "tissue"

    @property
    def file(self) -> Path:
        """The study file."""
        return self.root / "small.yaml"

    @property
    def study(self) -> Path:
        """The finished study, which nobody changes."""
        return self.root / "study"

    @property
    def cache(self) -> Path:
        """Tiles and features, which nobody changes."""
        return self.root / "cache"

    @property
    def image(self) -> Path:
        """One image."""
        return min((self.data / "images").glob("*.png"))

    @property
    def run_id(self) -> str:
        """One finished run."""
        return min(path.name for path in (self.study / "runs").iterdir())

    def run_words(self, out: Path, cache: Path, *more: object) -> list[object]:
        """The command that trains the study."""
        return ["run", self.file, "--out", out, "--cache", cache, *more]

    def copy(self, to: Path) -> Path:
        """Copy the finished study."""
        if to.exists():
            shutil.rmtree(to)
        return shutil.copytree(self.study, to)

    def write(self, name: str, **changes: Any) -> Path:
        """Write the study file with other sections under another name."""
        content = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        for key, value in changes.items():
            content[key] = content[key] | value if isinstance(content.get(key), dict) else value
        path = self.root / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path


def make_small_study(root: Path) -> SmallStudy:
    """Make, train and analyse it once; go on with what is there.

    Raises:
        RuntimeError: It does not even work undisturbed.
    """
    made = SmallStudy(root)
    root.mkdir(parents=True, exist_ok=True)
    if not (made.data / "index.csv").exists():
        spec = PRESETS["tissue"]
        generate_phantom(spec.model_copy(update={"images_per_group": 1, "size_px": 96}), made.data)
    data = {"path": str(made.data), "tile_px": 64, "stride_px": 64}
    content = {"name": "small", "dataset": data, "methods": [*METHODS], "seeds": [0, 1]} | SMALL
    made.file.write_text(yaml.safe_dump(content), encoding="utf-8")
    commands: Sequence[Sequence[object]] = (
        made.run_words(made.study, made.cache, "--engine", "serial"),
        ["analyze", made.study, "--cache", made.cache],
        ["report", made.study],
    )
    for words in commands if not (made.study / "report" / "index.html").exists() else ():
        found = invoke(words, longest_s=600)
        if found.code:
            raise RuntimeError(found.told() + found.err)
    return made
