"""Encoders as files and libraries resolve them: mean, standard deviation and weights, which decide every feature.

A study file names published weights by a word, and may leave the normalisation to a library. Another version of that
library, or another upstream file, can resolve both differently. What was resolved when a study began is kept in its
plan, recorded with each run, and part of what identifies cached features; anything else is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from imbalance_bench.encoder_config import EncoderSection
from imbalance_bench.errors import UserError
from imbalance_bench.models.encoder_presets import Rgb
from imbalance_bench.models.encoder_weights import local_hash
from imbalance_bench.models.encoders import Encoder, build_encoder, choices, normalisation
from imbalance_bench.seeding import derive_seed


@dataclass(frozen=True)
class ResolvedEncoder:
    """One encoder of a model.

    Attributes:
        name: As in the study.
        mean: Per channel, of RGB scaled to 0..1.
        std: Likewise.
        weights: SHA-256 of a local file; of published weights and of random ones that all runs share, that of the
            tensors. None: they have not been loaded, or each run draws its own.
    """

    name: str
    mean: Rgb
    std: Rgb
    weights: str | None

    @classmethod
    def of(cls, encoder: Encoder) -> "ResolvedEncoder":
        """Say what an encoder was built with."""
        return cls(encoder.choice.name, encoder.mean, encoder.std, encoder.weights_hash)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "ResolvedEncoder":
        """Return what `as_json` gave."""
        mean, std = ((float(a), float(b), float(c)) for a, b, c in (content["mean"], content["std"]))
        return cls(content["name"], mean, std, content["weights"])

    def as_json(self) -> dict[str, Any]:
        """Return it for plan.json and manifest.json."""
        content = asdict(self)
        return content | {"mean": list(self.mean), "std": list(self.std)}


def resolve_encoders(section: EncoderSection, *, load: bool, shared: bool) -> tuple[ResolvedEncoder, ...]:
    """Resolve the encoders of a model; local files are hashed.

    Args:
        section: Of the study file.
        load: Build what no file identifies, which fetches published weights; False leaves their hashes out.
        shared: All runs use the same random weights: those of seed 0, from which features are cached.

    Raises:
        UserError: Weights are missing, or an encoder cannot be built.
    """
    resolved = []
    wanted = choices(section)
    draws = load and shared and any(choice.weights == "none" for choice in wanted)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(0, "weights"))
        for choice in wanted:
            weights = local_hash(choice.name, choice.weights)
            if draws and weights is not None:
                build_encoder(replace(choice, weights="none"))  # random weights depend on the encoders before them
            elif draws or (load and choice.weights == "imagenet"):
                weights = build_encoder(choice).weights_hash
            resolved.append(ResolvedEncoder(choice.name, *normalisation(choice), weights))
    return tuple(resolved)


def difference(before: Sequence[ResolvedEncoder], now: Sequence[ResolvedEncoder]) -> str:
    """Describe the first thing in which encoders differ from what they were, or return an empty string.

    Weights that either side does not know are not compared.
    """
    for old, new in zip(before, now, strict=True):
        for what, was, found in (("mean", old.mean, new.mean), ("standard deviation", old.std, new.std)):
            if was != found:
                return f"the {what} of {new.name} is {list(found)} instead of {list(was)}"
        if old.weights is not None and new.weights is not None and old.weights != new.weights:
            return f"the weights of {new.name} are others (hash {new.weights[:12]} instead of {old.weights[:12]})"
    return ""


def require_same(before: Sequence[ResolvedEncoder], now: Sequence[ResolvedEncoder], source: str) -> None:
    """Refuse encoders that are not what they were.

    Args:
        before: As they were recorded.
        now: As they are here.
        source: What they were recorded for; begins the message.

    Raises:
        UserError: They differ.
    """
    differing = difference(before, now)
    if differing:
        raise UserError(
            f"{source} rests on other encoders: here {differing}. Install the versions of timm and "
            "segmentation-models-pytorch that a run's manifest.json names (random weights also differ between kinds of "
            "processors), or train in another --out."
        )
