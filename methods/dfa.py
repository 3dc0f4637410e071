"""Dynamic focal attention: a per-class bias on the logits with which image tokens attend to class tokens.

    W = softmax over class tokens of (q . k / sqrt(d_head) + b),   b learned or given, one number per class

exp(b_c) multiplies the odds that an image token attends to class c. The decoder owns the attention; this module owns b:
where it starts, what of it is trained, and how it is laid out over the tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from methods.base import (
    AttentionBias,
    BuildContext,
    Card,
    ClassFeedback,
    ClassStatistics,
    Components,
    Group,
    MethodConfig,
    ParamGroup,
    Requirement,
    Stage,
)
from methods.late_torch import F, torch
from methods.search_space import Range

if TYPE_CHECKING:
    from torch import Tensor

Prior = Literal["one_minus_frequency", "log_frequency", "none", "shuffled", "inverted", "difficulty", "given"]
Measure = Literal["share", "image_share", "components", "component_size"]
Mode = Literal["learned", "anchored", "fixed"]
TokenLayout = Literal["class_tokens", "official", "official_ignored"]
Direction = Literal["image_to_token", "token_to_image"]
Sharing = Literal["shared", "per_head", "per_layer", "per_layer_and_head"]

EXTRA_TOKENS: dict[TokenLayout, int] = {"class_tokens": 0, "official": 2, "official_ignored": 3}
SMALLEST_REMAINDER = 1e-8  # floor of 1 - f, reached when one class covers everything; as in the official code
LARGEST_DICE = 1 - 1e-3  # keeps log(1 - Dice) of a perfect class finite


def centred(values: Tensor, is_known: Tensor) -> Tensor:
    """Subtract the mean over the known classes; the others become 0.

    Args:
        values: (K,) float, finite where `is_known`.
        is_known: (K,) bool.

    Returns:
        (K,) float.
    """
    return torch.where(is_known, values - values[is_known].mean(), 0.0)


def log_of_remainder(remainder: Tensor, is_known: Tensor, gamma: float) -> Tensor:
    """Return gamma log(remainder), (K,); classes that are not known get the mean of the others."""
    log_prior = gamma * remainder.log()
    return torch.where(is_known, log_prior, log_prior[is_known].mean())


def derangement(n: int, seed: int) -> Tensor:
    """Draw a permutation of n items that leaves none in place; the identity if n < 2.

    Args:
        n: Number of items.
        seed: Of the draw; the global random state is not touched.

    Returns:
        (n,) int64.
    """
    generator = torch.Generator().manual_seed(seed)
    identity = torch.arange(n)
    order = identity
    while n > 1 and bool((order == identity).any()):
        order = torch.randperm(n, generator=generator)
    return order


def log_prior(config: DfaConfig, context: BuildContext) -> Tensor:
    """Compute log pi, (K,) float64, finite; classes that do not occur get the mean of the others."""
    statistics = context.statistics
    present = statistics.present
    if config.prior == "none":
        return torch.zeros_like(statistics.pixels)
    if config.prior == "log_frequency":
        return centred(-statistics.frequency.log(), present)
    if config.prior == "difficulty":
        return difficulty_prior(context.finished[0], statistics, config.gamma)
    if config.prior == "given":
        return given_prior(config, statistics)
    remainder = (1 - statistics.frequency).clamp(min=SMALLEST_REMAINDER)
    official = log_of_remainder(remainder, present, config.gamma)
    if config.prior == "inverted":
        return -centred(official, present)
    if config.prior == "shuffled":
        occurring = present.nonzero().squeeze(1)
        shuffled = official.clone()
        shuffled[occurring] = official[occurring[derangement(len(occurring), context.seed)]]
        return shuffled
    return official


def difficulty_prior(baseline: ClassFeedback, statistics: ClassStatistics, gamma: float) -> Tensor:
    """Compute gamma log(1 - Dice_c) of a finished baseline, (K,) float64.

    The sign: a hard class (Dice near 0) gets about 0 and an easy class (Dice near 1) a large negative number, so after
    the softmax hard classes are attended to more. Dice is clipped to .999; a class that occurs in only one of the
    training and the validation split gets the mean of the others.
    """
    dice = baseline.dice
    is_known = statistics.present & dice.isfinite()
    if not is_known.any():
        return torch.zeros_like(statistics.pixels)
    return log_of_remainder(1 - dice.clamp(0, LARGEST_DICE), is_known, gamma)


def given_prior(config: DfaConfig, statistics: ClassStatistics) -> Tensor:
    """Return the numbers of the study file as they are, or a standardised measure of the training split, (K,) float64.

    Raises:
        ValueError: The numbers are not those of the K classes.
    """
    if config.values is not None:
        if set(config.values) != set(statistics.names):
            raise ValueError(
                f"`values` must hold one number for each of {', '.join(statistics.names)}. "
                f"Got {', '.join(config.values) or 'none'}."
            )
        return torch.tensor([config.values[name] for name in statistics.names], dtype=torch.float64)
    is_known = statistics.present
    measured = {
        "share": statistics.frequency,
        "image_share": statistics.images / statistics.n_images,
        "components": statistics.components,
        "component_size": statistics.pixels / statistics.components,
    }[config.measure or "share"]
    deviation = centred(torch.where(is_known, measured, 1.0).log(), is_known)
    spread = deviation[is_known].square().mean().sqrt()
    return deviation / spread if spread > 0 else deviation


def gradient_of_penalty(parameter: torch.nn.Parameter, l2: float) -> Callable[[Tensor], Tensor]:
    """Return a gradient hook that adds the gradient of l2 * sum(parameter^2), once per optimiser step.

    The penalty joins the first backward pass after the gradients were cleared, so that accumulating over batches
    does not multiply it.
    """

    def with_penalty(gradient: Tensor) -> Tensor:
        if parameter.grad is not None and bool(parameter.grad.any()):
            return gradient
        return gradient + 2 * l2 * parameter.detach()

    return with_penalty


class DynamicFocalBias(AttentionBias):
    """The bias b, laid out over the decoder's tokens.

    Args:
        config: Options.
        prior: (K,) float, log pi.
        present: (K,) bool, classes that occur in the training split.
        layers: Decoder layers that hold a bias of their own, or 1.
        heads: Attention heads that hold a bias of their own, or 1.

    Attributes:
        delta: (layers, heads, K), trained; None in mode `fixed`.
        ignored: (layers, heads, 1), trained, from 0: the bias of the class of ignored pixels, which only the layout
            `official_ignored` has; None otherwise.
        prior: (K,), log pi.
        initial: (K,), b before training.
    """

    prior: Tensor
    initial: Tensor

    def __init__(self, config: DfaConfig, prior: Tensor, present: Tensor, *, layers: int, heads: int) -> None:
        super().__init__()
        self.config = config
        self.direction = config.direction
        self.extra_tokens = EXTRA_TOKENS[config.token_layout]
        self.register_buffer("prior", prior.float())
        warm_start = config.alpha * centred(prior, present)
        self.delta, self.ignored = None, None
        if config.mode != "fixed":
            self.delta = torch.nn.Parameter(warm_start.float().repeat(layers, heads, 1))
            if config.token_layout == "official_ignored":
                self.ignored = torch.nn.Parameter(torch.zeros(layers, heads, 1))
            for trained in self.trained() if config.l2 > 0 else ():
                # a penalty in the loss, not AdamW's decoupled decay: it is clipped with the rest of the gradient
                trained.register_hook(gradient_of_penalty(trained, config.l2))
        self.register_buffer("initial", self.class_bias().detach()[0, 0].clone())

    def trained(self) -> list[torch.nn.Parameter]:
        """Return what training changes: delta and, where there is one, the bias of the class of ignored pixels."""
        return [parameter for parameter in (self.delta, self.ignored) if parameter is not None]

    def class_bias(self) -> Tensor:
        """Return b, (layers or 1, heads or 1, K)."""
        if self.delta is None:
            return self.prior.expand(1, 1, -1)
        return self.delta + self.prior if self.config.mode == "anchored" else self.delta

    def forward(self) -> Tensor:
        """Return the bias of each token, (layers or 1, heads or 1, extra_tokens + K).

        With exactly K class tokens, token c holds b_c. The official layout is [iou, mask_0, mask_1 .. mask_K]: the
        output drops mask_0, so class c is driven by position c + 2, while b_c sits at position c + 1. Class c therefore
        receives b_(c+1), the last class receives none, and b_0 acts on a token whose output is thrown away.

        The official code itself counts ignored pixels as one more class, before the others, with a mask token and a
        bias of its own; the layout `official_ignored` has both: [iou, mask_0, ignored, classes] hold
        [0, b of ignored, b_0 .. b_(K-1), 0].
        """
        bias = self.class_bias()
        if self.config.token_layout == "class_tokens":
            return bias
        if self.config.token_layout == "official":
            return F.pad(bias, (1, 1))
        ignored = torch.zeros_like(bias[..., :1]) if self.ignored is None else self.ignored
        return F.pad(torch.cat([ignored, bias], -1), (1, 1))

    def class_parameters(self) -> dict[str, Tensor]:
        """Return the bias, its start, its prior and, where they differ, what drives each class; (K,) each."""
        bias = self.class_bias().detach().float().cpu().clone()
        parameters = {
            "attention_bias": bias.mean((0, 1)),
            "attention_bias_initial": self.initial.cpu().clone(),
            "attention_bias_prior": self.prior.cpu().clone(),
        }
        if self.extra_tokens:
            parameters["attention_bias_driving"] = (
                self.forward().detach().float().cpu().mean((0, 1))[self.extra_tokens :]
            )
        layers, heads, _ = bias.shape
        for layer in range(layers):
            for head in range(heads):
                index = [f"layer={layer}"] * (layers > 1) + [f"head={head}"] * (heads > 1)
                if index:
                    parameters[f"attention_bias[{','.join(index)}]"] = bias[layer, head]
        return parameters

    def param_groups(self, model: torch.nn.Module) -> list[ParamGroup]:  # noqa: ARG002
        """Return the bias's own optimiser group."""
        if self.delta is None:
            return []
        return [
            ParamGroup(
                self.trained(),
                lr_multiplier=self.config.lr_multiplier,
                weight_decay=0.0,
                grad_clip=self.config.grad_clip,
                constant_schedule=True,
            )
        ]


class DfaConfig(MethodConfig):
    """Dynamic focal attention; the defaults are those of the official BCSS configuration."""

    prior: Prior = Field(
        default="one_minus_frequency",
        description="log pi: gamma log(1 - f) | -log f, centred, without gamma | 0 | the first, permuted among classes "
        "| the first, centred and negated | gamma log(1 - Dice) of a baseline trained first | `values` or `measure`",
    )
    values: dict[str, float] | None = Field(
        default=None,
        exclude_if=lambda values: values is None,
        description="with `prior: given`, log pi of each class by name: a known cause, as it is",
    )
    measure: Measure | None = Field(
        default=None,
        exclude_if=lambda measure: measure is None,
        description="with `prior: given`, instead of `values`: log pi is the logarithm of the pixel share, of the "
        "share of images that hold the class, of its connected components or of their mean size in the training "
        "split, scaled to mean 0 and standard deviation 1 over classes",
    )
    gamma: Annotated[float, Range(0.25, 8.0, log=True)] = Field(default=2.0, ge=0, description="exponent of the prior")
    alpha: Annotated[float, Range(0.0, 1.0)] = Field(
        default=0.5, ge=0, description="share of the centred prior that delta starts from; 0 is a cold start"
    )
    mode: Mode = Field(default="learned", description="b = delta | log pi + delta | log pi, nothing trained")
    lr_multiplier: Annotated[float, Range(1.0, 100.0, log=True)] = Field(
        default=20.0, gt=0, description="learning rate of delta, times the base rate"
    )
    l2: float = Field(default=0.0, ge=0, description="weight of sum(delta^2) in the loss")
    grad_clip: float | None = Field(
        default=0.5, gt=0, description="gradient-norm limit of delta alone; null for the run's own"
    )
    token_layout: TokenLayout = Field(
        default="class_tokens",
        description="exactly K tokens, or the official tokens with their index shift: without the token of ignored "
        "pixels, or with it, as checkpoints of the official code have it",
    )
    direction: Direction = Field(
        default="image_to_token", description="token_to_image is the negative control: it does nothing"
    )
    sharing: Sharing = Field(default="shared", description="one bias for all layers and heads, or one each")

    card: ClassVar[Card] = Card(
        group=Group.REPRESENTATION,
        title="Dynamic focal attention",
        formula="W = softmax over class tokens of (q k / sqrt(d) + b); b = delta, starting at alpha (log pi - mean), "
        "log pi_c = gamma log(1 - p_c)",
        source="Kumari and Cheung 2026 (arXiv 2604.13479); options and numbers from the code, lakmali240/DFA-Imbalance",
        deviations="exactly K class tokens without an index shift (`token_layout: official` restores it); the bias "
        "joins image-to-token attention only, as the other direction has no effect; `official` has no token for "
        "ignored pixels, which are no class here (`official_ignored` has it); frequencies are measured, not typed in; "
        "the learning rate of delta is a multiple of the study's base rate, which is 1e-4 in the official recipe and "
        "1e-3 by default here. The decoder is the study's: `model.decoder: sam` has the official "
        "neck, two-way blocks (ReLU, halved cross-attention, query bias vectors, first self-attention without residual "
        "and positions), random Fourier positions, transposed convolutions and no skip, and differs in no dense prompt "
        "vector, an IoU head only with `model.iou_head_weight`, and positions counted in tokens; `unet` (the "
        "default) has a pixel map beside the attention, GELU, a residual and positions in the first self-attention, "
        "sine positions and no query bias vector in image-to-token attention; the others are no one's but ours "
        "(docs/decoders.md)",
        requires=frozenset({Requirement.CLASS_QUERY}),
    )

    @model_validator(mode="after")
    def _given_once(self) -> DfaConfig:
        given = [name for name in ("values", "measure") if getattr(self, name) is not None]
        if len(given) != (self.prior == "given"):
            needed = "exactly one of `values` and `measure`" if self.prior == "given" else "neither of them"
            raise ValueError(
                f"`values` and `measure` belong to `prior: given`. `prior: {self.prior}` takes {needed}. "
                f"Got {' and '.join(given) or 'none'}."
            )
        return self

    def requirements(self) -> frozenset[Requirement]:
        """Need class tokens and, for the difficulty prior, validation counts."""
        extra = {Requirement.VALIDATION_FEEDBACK} if self.prior == "difficulty" else frozenset()
        return self.card.requires | extra

    def start_options(self) -> frozenset[str]:
        """Return the options of log pi and alpha, where b forgets log pi but for its start.

        A fixed b is log pi, not its start. An anchored b is pulled towards log pi by a penalty on delta; without one,
        its training is that of a delta that starts at (1 + alpha) log pi.
        """
        if self.mode == "fixed":
            return frozenset()
        if self.mode == "anchored" and self.l2 > 0:
            return frozenset({"alpha"})
        return frozenset({"prior", "values", "measure", "gamma", "alpha"})

    def stages(self) -> tuple[Stage, ...]:
        """Return one stage, or a baseline before it for the difficulty prior."""
        return (Stage("baseline"), Stage("main")) if self.prior == "difficulty" else (Stage("main"),)

    def build(self, context: BuildContext) -> Components:
        """Build the bias and its parameter group; nothing in a baseline stage."""
        if context.stage < len(self.stages()) - 1:
            return Components()
        if context.attention_heads == 0:
            raise ValueError("`dfa` needs attention that normalises over class tokens, and this architecture has none.")
        bias = DynamicFocalBias(
            self,
            log_prior(self, context),
            context.statistics.present,
            layers=context.attention_layers if self.sharing in ("per_layer", "per_layer_and_head") else 1,
            heads=context.attention_heads if self.sharing in ("per_head", "per_layer_and_head") else 1,
        )
        return Components(attention_bias=bias, param_groups=None if bias.delta is None else bias.param_groups)
