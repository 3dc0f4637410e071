"""Encoders without weights, for runs that read cached features: their shapes are known, and nothing is encoded.

The weights of a model are drawn one after the other, those of the encoders first. A head that is built without them
must start where it would start with them, or its weights would be others. What was found out about encoders is kept
for the next run of the process, which builds none.
"""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace

import torch
from torch import Tensor

from imbalance_bench.errors import UserError
from imbalance_bench.manifest import canonical_hash
from imbalance_bench.models.encoder_weights import local_hash
from imbalance_bench.models.encoders import Encoder, EncoderChoice, build_encoder

_BARE: dict[str, list[Encoder] | None] = {}  # by encoders
_STATES_AFTER: dict[tuple[str, int], Tensor] = {}  # by encoders and seed: the generator's, (5056,) uint8


def bare_encoders(choices: Sequence[EncoderChoice]) -> list[Encoder] | None:
    """Build encoders on the meta device; no file of weights is read but to hash it.

    Returns:
        None where a library computes while it builds, which needs values.

    Raises:
        UserError: Weights are missing.
    """
    key = _key(choices)
    if key not in _BARE:
        _BARE[key] = _on_meta(choices)
    bare = _BARE[key]
    return None if bare is None else identified(bare, choices)


def identified(bare: Sequence[Encoder], choices: Sequence[EncoderChoice]) -> list[Encoder]:
    """Say of encoders that were built without weights whose shapes they have; a file of weights is hashed.

    Raises:
        UserError: Weights are missing.
    """
    return [
        replace(encoder, choice=choice, weights_hash=local_hash(choice.name, choice.weights))
        for encoder, choice in zip(bare, choices, strict=True)
    ]


def skip_draws(choices: Sequence[EncoderChoice], seed: int) -> None:
    """Seed the generator and bring it to where it stands after these encoders have been built.

    They are built for that once in a process, and let go.
    """
    key = _key(choices), seed
    torch.manual_seed(seed)
    if key not in _STATES_AFTER:
        for choice in choices:
            build_encoder(choice)
        _STATES_AFTER[key] = torch.get_rng_state()
    torch.set_rng_state(_STATES_AFTER[key])


def _on_meta(choices: Sequence[EncoderChoice]) -> list[Encoder] | None:
    try:
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore")  # that nothing is copied to the meta device is meant
            return [build_encoder(replace(choice, weights="none")) for choice in choices]
    except (UserError, RuntimeError, NotImplementedError, ValueError, TypeError):
        return None  # if it cannot be built at all, building it with its weights says why


def _key(choices: Sequence[EncoderChoice]) -> str:
    return canonical_hash([asdict(choice) for choice in choices])
