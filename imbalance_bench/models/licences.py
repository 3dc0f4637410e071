"""Terms under which a trained model stands: those of its data set and of its encoders' weights."""

import re
from typing import Any

import timm

from imbalance_bench.encoder_config import EncoderSection
from imbalance_bench.models.encoder_presets import PRESETS, Licence
from imbalance_bench.models.encoders import EncoderChoice, choices

_NO_DERIVATIVES = re.compile(r"\bND\b|no[ -]?deriv", re.IGNORECASE)
UNKNOWN = Licence("unknown: see where the file came from")


def licence_of(choice: EncoderChoice) -> Licence | None:
    """Return the terms of an encoder's weights; None for random ones."""
    if choice.weights == "none":
        return None
    if choice.preset:
        return PRESETS[choice.name].licence
    if choice.weights != "imagenet":
        return UNKNOWN
    published = timm.get_pretrained_cfg(choice.timm_name) if choice.timm_name else None
    name = getattr(published, "license", None)
    return Licence(str(name), derivatives=not _NO_DERIVATIVES.search(str(name))) if name else UNKNOWN


def licences(section: EncoderSection, dataset_licence: str) -> dict[str, Any]:
    """Return the terms for the records.

    Returns:
        `dataset`: its licence; `encoders`: name and licence of each encoder with published weights; `derivatives`:
        False where one of them forbids passing on adapted weights, which the trained model is.
    """
    terms = {choice.name: licence_of(choice) for choice in choices(section)}
    published = {name: licence for name, licence in terms.items() if licence is not None}
    return {
        "dataset": dataset_licence,
        "encoders": [{"encoder": name, "licence": licence.name} for name, licence in published.items()],
        "derivatives": not _NO_DERIVATIVES.search(dataset_licence)
        and all(licence.derivatives for licence in published.values()),
    }


def licence_warnings(section: EncoderSection, dataset_licence: str) -> list[str]:
    """Return one line for each licence that forbids passing on what is trained from it."""
    lines = []
    for choice in choices(section):
        licence = licence_of(choice)
        if licence is not None and not licence.derivatives:
            lines.append(
                f"The licence of {choice.name} ({licence.name}) forbids derived weights: models trained on it may not "
                "be passed on."
            )
    if _NO_DERIVATIVES.search(dataset_licence):
        lines.append(
            f"The licence of the data set ({dataset_licence}) forbids derivatives: models trained on it may not be "
            "passed on."
        )
    return lines
