"""The text of study.yaml: defaults that suit the data, each with its reason."""

import os
from dataclasses import dataclass
from pathlib import Path

from imbalance_bench.config import StudyConfig, parse_study
from imbalance_bench.drafting.design import Design
from imbalance_bench.drafting.layout_file import flow, scalar
from imbalance_bench.models.size_check import require_model_fits
from imbalance_bench.yaml_files import parse_yaml

ENCODER = "tu-tf_efficientnet_lite0"
_HUB_REPOSITORY, _HUB_FILE = "timm/tf_efficientnet_lite0.in1k", "model.safetensors"  # of its ImageNet weights
METHODS = ("cross_entropy", "inverse_sqrt", "focal", "cdb", "dfa")
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class StudyFacts:
    """What a study file says.

    Attributes:
        name: Of the study.
        dataset: Prepared data set, as the file names it.
        design: Splits and tiles.
        n_classes: K, before classes are ignored.
        groups_known: Whether patients or slides are known.
        weights: `imagenet`, a local file, or `none`, which trains the encoder from scratch.
    """

    name: str
    dataset: Path
    design: Design
    n_classes: int
    groups_known: bool
    weights: str

    @property
    def runs(self) -> int:
        """Trainings that the study asks for."""
        return len(METHODS) * len(SEEDS) * self.design.folds


def weights_at_hand() -> str:
    """Return `imagenet` where the encoder's published weights were downloaded before, else `none`."""
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(_HUB_REPOSITORY, _HUB_FILE)
    return "imagenet" if isinstance(cached, str) and os.path.exists(cached) else "none"  # noqa: PTH110 - text of a library


def study_text(facts: StudyFacts) -> str:
    """Return the file."""
    design, scratch = facts.design, facts.weights == "none"
    lines = [
        "# Written by `imbalance-bench init`. Every key may be changed or left out; `run --dry-run` checks it.",
        f"name: {scalar(facts.name)}",
        "dataset:",
        f"  path: {scalar(str(facts.dataset))} # relative to the folder in which you type the command",
        "  # groups: {epithelial: [benign, malignant]} # merges classes",
    ]
    if design.ignored:
        lines.append(f"  ignore: {flow(list(design.ignored))} # in too few groups to be both trained and tested")
    lines += [
        f"  tile_px: {design.tile_px} # {design.why_tiles}",
        f"  stride_px: {design.stride_px}",
        f"splits: {flow(design.splits)} # {design.why_splits}",
    ]
    if design.splits["kind"] == "grouped" and facts.groups_known:
        lines.append("# No patient or slide lies in two parts.")
    lines += ["model:", f"  encoder: {ENCODER}"]
    if scratch:
        lines += [
            "  # No weights are available, so the encoder is trained from scratch. Pretrained is better and faster:",
            "  # `encoder_weights: imagenet` (downloads them) or a local file, without the other two lines marked (*).",
            "  encoder_weights: none",
            "  encoder_tuning: full # (*)",
        ]
    else:
        lines.append(f"  encoder_weights: {scalar(facts.weights)} # frozen: features are computed once for all methods")
    lines += ["training:", f"  crop_px: {design.crop_px}"]
    if scratch:
        lines.append("  encoder_lr_multiplier: 1.0 # (*) the encoder learns as fast as the decoder")
    lines += [
        "  # steps: 600 # the default",
        "methods: # the first is the control; `imbalance-bench advise` suggests others, `methods` lists all",
        *(f"  - {name}" for name in METHODS),
        f"seeds: {list(SEEDS)} # {facts.runs} trainings in all",
    ]
    return "\n".join(lines) + "\n"


def checked_study(text: str, facts: StudyFacts) -> StudyConfig:
    """Return the study that a text describes, after making sure that its model takes its tiles and crops.

    Raises:
        UserError: It does not, or local weights do not fit the encoder.
    """
    config = parse_study(parse_yaml(text, "the drafted study"), source="the drafted study")
    sizes_px = {"training.crop_px": config.training.crop_px, "dataset.tile_px": config.dataset.tile_px}
    require_model_fits(config.model, n_classes=facts.n_classes - len(facts.design.ignored), sizes_px=sizes_px)
    return config
