"""How much of an encoder is trained: nothing, low-rank updates, its last blocks, or all of it."""

import math
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from imbalance_bench.encoder_config import EncoderSection
from imbalance_bench.errors import UserError
from imbalance_bench.models.token_encoder import TokenEncoder

_PROJECTION = re.compile(r"(^|\.)attn\.(qkv|q_proj|k_proj|v_proj|proj)$")


class LowRankUpdate(nn.Module):
    """A weight plus a trained product of two thin matrices: W + (alpha / r) B A. B starts at zero.

    Args:
        weight: W, (out, in); frozen.
        rank: r.
        alpha: Scale of the update.

    Source: Hu et al. 2022, LoRA, section 4.1; on attention projections as there, and on their output.
    Deviation: timm keeps query, key and value in one matrix, which gets one update of rank r.
    """

    def __init__(self, weight: Tensor, *, rank: int, alpha: float) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.lora_A = nn.Parameter(torch.empty(rank, columns, device=weight.device))
        self.lora_B = nn.Parameter(torch.zeros(rows, rank, device=weight.device))
        self.scaling = alpha / rank
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the updated weight, (out, in)."""
        return weight + self.scaling * (self.lora_B @ self.lora_A)


class EncoderTuning:
    """What of the encoders is trained; set up once, after the encoders have their weights.

    Args:
        encoder: One encoder, or a list of several.
        section: The study's model.

    Raises:
        UserError: The encoder has nothing of the kind that is to be trained.
    """

    def __init__(self, encoder: nn.Module, section: EncoderSection) -> None:
        self._encoder, self._section, self._mode = encoder, section, section.encoder_tuning
        self._trained_parts: list[nn.Module] = []
        parts = list(encoder) if isinstance(encoder, nn.ModuleList) else [encoder]
        if self._mode != "full":
            encoder.requires_grad_(False)
        for part in parts:
            if self._mode == "lora":
                self._add_low_rank(part)
            elif self._mode == "last_blocks":
                self._train_last_blocks(part)
            if section.activation_checkpointing:
                _checkpoint(part, section)
            if section.encoder_layer_decay != 1 and not isinstance(part, TokenEncoder):
                raise UserError(_plain_only("encoder_layer_decay", section))
        self._stored = frozenset(self._changing())
        self.train(True)

    def stores(self, name: str) -> bool:
        """True if training changes this entry of the encoder's state dict."""
        return name in self._stored

    def train(self, mode: bool) -> None:
        """Set training mode of what is trained; the rest stays in evaluation mode."""
        if self._mode == "full":
            self._encoder.train(mode)
            return
        self._encoder.eval()
        for part in self._trained_parts:
            part.train(mode)

    def groups(self) -> Iterator[tuple[list[nn.Parameter], float]]:
        """Yield trained parameters with the factor of their learning rate: the decay to the power of blocks above."""
        decay = self._section.encoder_layer_decay
        if decay == 1:
            yield [p for p in self._encoder.parameters() if p.requires_grad], 1.0
            return
        by_factor: dict[float, list[nn.Parameter]] = {}
        parts = list(self._encoder) if isinstance(self._encoder, nn.ModuleList) else [self._encoder]
        for part in parts:
            n = len(_blocks(part, "encoder_layer_decay", self._section))
            for name, parameter in part.named_parameters():
                if parameter.requires_grad:
                    by_factor.setdefault(decay ** (n - _layer(name, n)), []).append(parameter)
        yield from ((parameters, factor) for factor, parameters in sorted(by_factor.items(), reverse=True))

    def _add_low_rank(self, part: nn.Module) -> None:
        chosen = [m for name, m in part.named_modules() if _PROJECTION.search(name) and isinstance(m, nn.Linear)]
        if not chosen:
            raise UserError(
                f"`model.encoder_tuning: lora` adapts the attention projections of transformers, and "
                f"{self._section.encoder_name} has none. Use full or frozen."
            )
        for linear in chosen:
            update = LowRankUpdate(linear.weight, rank=self._section.lora_rank, alpha=self._section.lora_alpha)
            parametrize.register_parametrization(linear, "weight", update, unsafe=True)
            linear.parametrizations.weight.original.requires_grad_(False)  # pyright: ignore[reportAttributeAccessIssue]

    def _train_last_blocks(self, part: nn.Module) -> None:
        blocks = _blocks(part, "encoder_tuning: last_blocks", self._section)
        wanted = self._section.last_blocks
        if wanted > len(blocks):
            raise UserError(f"`model.last_blocks` must be <= the blocks of the encoder ({len(blocks)}). Got {wanted}.")
        self._trained_parts += [*blocks[-wanted:]]
        norm = getattr(part.model, "norm", None)
        if isinstance(norm, nn.Module):
            self._trained_parts.append(norm)
        for trained in self._trained_parts:
            trained.requires_grad_(True)

    def _changing(self) -> Iterator[str]:
        """Names of the entries of the state dict that training changes."""
        if self._mode == "full":
            yield from self._encoder.state_dict()
        elif self._mode == "lora":
            yield from (name for name, p in self._encoder.named_parameters() if p.requires_grad)
        else:
            trained = {id(value) for part in self._trained_parts for value in part.state_dict(keep_vars=True).values()}
            for name, value in self._encoder.state_dict(keep_vars=True).items():
                if id(value) in trained:
                    yield name


def _blocks(part: nn.Module, key: str, section: EncoderSection) -> Any:
    if not isinstance(part, TokenEncoder):
        raise UserError(_plain_only(key, section))
    return part.blocks


def _plain_only(key: str, section: EncoderSection) -> str:
    return (
        f"`model.{key}` is for plain vision transformers, and {section.encoder_name} holds another encoder. "
        "Use `encoder_tuning: full` or frozen without it."
    )


def _layer(name: str, n_blocks: int) -> int:
    """Position from 0, before the first block, to `n_blocks`, the last block; what follows the blocks goes with it."""
    match = re.search(r"(^|\.)blocks\.(\d+)\.", name)
    if match:
        return int(match.group(2)) + 1
    return n_blocks if re.search(r"(^|\.)(norm|neck|fc_norm)\.", name) else 0


def _checkpoint(part: nn.Module, section: EncoderSection) -> None:
    switch = getattr(getattr(part, "model", part), "set_grad_checkpointing", None)
    if switch is None:
        raise UserError(
            f"`model.activation_checkpointing`: {section.encoder_name} cannot recompute its activations. Leave it out."
        )
    switch(True)
