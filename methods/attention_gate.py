"""Focal attention gate: attention weights raised to a learned power, so that weak attention counts less still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from methods.base import BuildContext, Card, Components, Group, MethodConfig, ParamGroup, Requirement
from methods.late_torch import torch
from methods.search_space import Range
from methods.slots import AttentionGate

if TYPE_CHECKING:
    from torch import Tensor


class FocalGate(AttentionGate):
    """Holds the exponents.

    Args:
        config: Options.
        layers: Decoder layers; each has exponents of its own.
        n_classes: K.

    Attributes:
        exponent: (layers, K or 1), a parameter unless the configuration fixes it.
    """

    exponent: Tensor

    def __init__(self, config: FocalAttentionGateConfig, layers: int, n_classes: int) -> None:
        super().__init__()
        self.n_classes, self.lr_multiplier = n_classes, config.lr_multiplier
        columns = n_classes if config.sharing == "per_class" else 1
        start = torch.full((layers, columns), config.gamma)
        if config.learned:
            self.register_parameter("exponent", torch.nn.Parameter(start))
        else:
            self.register_buffer("exponent", start)

    def forward(self) -> Tensor:
        """Return the exponents, (layers, K), not below 0."""
        return self.exponent.clamp(min=0).expand(-1, self.n_classes)

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `focal_exponent`, (K,): the mean over layers."""
        return {"focal_exponent": self().detach().float().cpu().mean(0)}

    def param_groups(self, model: torch.nn.Module) -> list[ParamGroup]:  # noqa: ARG002
        """Return the exponents' own optimiser group: decay would pull them to 0, which is no attention at all."""
        return [ParamGroup(list(self.parameters()), lr_multiplier=self.lr_multiplier, weight_decay=0.0)]


class FocalAttentionGateConfig(MethodConfig):
    """Focal exponent on the class-query decoder's attention."""

    gamma: Annotated[float, Range(0.5, 2.0, log=True)] = Field(
        default=1.0, ge=0, description="exponent at the start; 1 leaves attention as it is"
    )
    learned: bool = Field(default=True, description="train the exponents, or keep them")
    sharing: Literal["per_layer", "per_class"] = Field(
        default="per_layer", description="one exponent for each decoder layer, or one for each layer and class"
    )
    lr_multiplier: Annotated[float, Range(0.3, 30.0, log=True)] = Field(
        default=1.0, gt=0, description="learning rate of the exponents, times the base rate"
    )

    card: ClassVar[Card] = Card(
        group=Group.REPRESENTATION,
        title="Focal attention gate",
        formula="W^gamma instead of W = softmax over class tokens (not normalised again) in image-to-token attention; "
        "gamma >= 0, learned, 1 at the start; base loss",
        source="Yeung 2021 (arXiv 2111.00534, focal attention networks): attention maps raised to a focal parameter; "
        "learned, starting at 1, not negative, maps clipped to (1e-7, 1) as in the authors' code, mlyg/focus-u-net",
        deviations="the source gates skip connections of a U-Net with sigmoid maps; here the map is the decoder's "
        "softmax over classes, and like a gate it is not normalised again: a place that attends to no class clearly is "
        "updated less. Without new layers it starts as the base decoder does",
        requires=frozenset({Requirement.CLASS_QUERY}),
    )

    def build(self, context: BuildContext) -> Components:
        """Build the gate.

        Raises:
            ValueError: The architecture has no attention over class tokens.
        """
        if context.attention_layers == 0:
            raise ValueError(
                "`focal_attention_gate` needs attention over class tokens, and this architecture has none."
            )
        gate = FocalGate(self, context.attention_layers, context.statistics.n_classes)
        return Components(attention_gate=gate, param_groups=gate.param_groups if self.learned else None)
