"""Whether a model takes the crops and tiles of a study: found out on the meta device, without memory for weights."""

import warnings
from collections.abc import Mapping

import torch

from imbalance_bench.config import ModelSection
from imbalance_bench.errors import UserError, first_line
from imbalance_bench.models.bare_encoders import bare_encoders, identified
from imbalance_bench.models.encoders import COARSEST_STRIDE_PX, Encoder, choices
from imbalance_bench.models.segmenter import CLASS_QUERY, QUERY_STRIDES_PX, Segmenter, build_segmenter

_FURTHEST_STEPS = 32  # how many multiples of the coarsest stride away a legal size is looked for
_REFUSALS = (AssertionError, RuntimeError, ValueError, IndexError)  # of networks that do not take a size


def require_model_fits(section: ModelSection, *, n_classes: int, sizes_px: Mapping[str, int]) -> None:
    """Build a model and refuse crops and tiles that it cannot read.

    Args:
        section: Of the study file. Names, options and local weights are checked too; nothing is fetched.
        n_classes: K.
        sizes_px: Key of the study file -> edge of the square images that the model will see.

    Raises:
        UserError: Something does not fit; of a size, with the nearest legal ones.
    """
    segmenter = without_memory(section, n_classes)
    for key, size in sizes_px.items():
        reason = _refusal(segmenter, size)
        if reason:
            raise UserError(_illegal(segmenter, section, key, size, reason))


def described_encoders(section: ModelSection, n_classes: int) -> list[Encoder]:
    """Describe the encoders of a model as its head reads them; a file of their weights is hashed, not read.

    Raises:
        UserError: The model cannot be built, or weights are missing.
    """
    wanted = choices(section)
    bare = bare_encoders(wanted) if section.architecture == CLASS_QUERY else None
    if bare is not None:
        return [encoder.reading(QUERY_STRIDES_PX) for encoder in bare]
    segmenter = without_memory(_with_weights(section, ["none"] * len(wanted)), n_classes)
    return identified(segmenter.encoders, wanted)


def without_memory(section: ModelSection, n_classes: int) -> Segmenter:
    """Build on the meta device, or, where a library computes while it builds, on the CPU."""
    weights = ["none" if choice.weights == "imagenet" else choice.weights for choice in choices(section)]
    bare = _with_weights(section, weights)
    try:
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore")  # that nothing is copied to the meta device is meant
            return build_segmenter(bare, n_classes=n_classes, seed=0).eval()
    except UserError:
        pass  # may be the library's failure to build without memory: the CPU decides
    except (RuntimeError, NotImplementedError, ValueError, TypeError):
        pass
    return build_segmenter(bare, n_classes=n_classes, seed=0).eval()


def _with_weights(section: ModelSection, weights: list[str]) -> ModelSection:
    return section.model_copy(update={"encoder_weights": tuple(weights) if len(weights) > 1 else weights[0]})


@torch.inference_mode()
def _refusal(segmenter: Segmenter, size_px: int) -> str:
    """Return why a model does not take images of this size, or an empty string."""
    for encoder in segmenter.encoders:
        edge = size_px * encoder.choice.scale
        if edge != round(edge):
            return f"`encoder_scale` {encoder.choice.scale:g} makes {edge:g} px of it"
        if encoder.token_stride_px is not None and size_px % encoder.token_stride_px:
            return f"{encoder.choice.name} reads tokens of {encoder.token_stride_px} px"
    device = next(segmenter.encoder.parameters()).device
    try:
        segmenter(torch.zeros(1, 3, size_px, size_px, device=device))
    except _REFUSALS as error:
        return first_line(error)
    return ""


def _illegal(segmenter: Segmenter, section: ModelSection, key: str, size_px: int, reason: str) -> str:
    legal = _nearest_legal(segmenter, size_px)
    refusal = f"`{key}` {size_px} does not fit `model.encoder` {section.encoder_name}: {reason}."
    if not legal:
        return f"{refusal} No size near it does; give another encoder."
    fix = f"Nearest legal sizes: {' and '.join(map(str, legal))}."
    if _is_fixed(segmenter.encoders[0], legal) and len(segmenter.encoders) == 1:
        fix += (
            " Or set `crop_px` and `tile_px` alike, and `model.encoder_kwargs: {img_size: "
            + str(size_px)
            + "}`, to build the "
            "encoder for that size."
        )
    return f"{refusal} {fix}"


def _is_fixed(encoder: Encoder, legal: list[int]) -> bool:
    """True for a hierarchical transformer of timm with a size of its own."""
    return encoder.token_stride_px is None and encoder.choice.timm_name is not None and bool(legal)


def _nearest_legal(segmenter: Segmenter, size_px: int) -> list[int]:
    """The next smaller and the next larger size that the model takes, as far as there are any."""
    legal = []
    start = size_px // COARSEST_STRIDE_PX
    for direction in (-1, 1):
        for step in range(0 if direction == -1 else 1, _FURTHEST_STEPS):
            candidate = (start + direction * step) * COARSEST_STRIDE_PX
            if candidate > 0 and candidate != size_px and not _refusal(segmenter, candidate):
                legal.append(candidate)
                break
    return legal
