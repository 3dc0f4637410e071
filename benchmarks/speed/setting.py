"""Where and at which size rows are measured."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Setting:
    """What a group of rows is told.

    Attributes:
        folder: Empty; for data sets, caches and studies.
        device: `cpu` or `cuda`.
        tiny: Measure at a miniature size: whether it works, not how fast it is.
        large: Measure also what takes minutes by itself.
    """

    folder: Path
    device: str = "cpu"
    tiny: bool = False
    large: bool = False

    @property
    def on_gpu(self) -> bool:
        """Whether rows are those of a GPU."""
        return self.device == "cuda"
