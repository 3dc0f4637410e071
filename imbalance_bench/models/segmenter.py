"""A segmentation model in two halves, so that a frozen encoder's features can be cached between them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from imbalance_bench.config import ModelSection
from imbalance_bench.encoder_config import EncoderSection
from imbalance_bench.errors import UserError, first_line, nearest
from imbalance_bench.models.bare_encoders import bare_encoders, skip_draws
from imbalance_bench.models.class_query import ClassQueryDecoder, ClassQuerySize, DecoderSetting
from imbalance_bench.models.decoders import DECODERS
from imbalance_bench.models.encoder_tuning import EncoderTuning
from imbalance_bench.models.encoders import Encoder, build_encoder, choices, hierarchical_options
from imbalance_bench.models.neck import Neck
from imbalance_bench.models.smp_decoders import smp_model_for
from imbalance_bench.seeding import derive_seed
from methods.base import Components

CLASS_QUERY = "class_query"
QUERY_STRIDES_PX = (4, 8, 16, 32)  # of the maps that the class-query decoder reads
SMP_STRIDES_PX = (2, *QUERY_STRIDES_PX)
CLASSIFIER_PREFIXES = ("head.hypernetworks.", "head.segmentation_head.")


class SmpHead(nn.Module):
    """Decoder and segmentation head of an SMP model, fed with cached or fresh features.

    Attributes:
        adjust_classifier: A method's correction at inference of the class weights, (K, E) -> the same shape.
    """

    adjust_classifier: Callable[[Tensor], Tensor] | None

    def __init__(self, decoder: nn.Module, segmentation_head: nn.Module) -> None:
        super().__init__()
        self.decoder, self.segmentation_head = decoder, segmentation_head
        self.adjust_classifier = None

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Decode features of strides 2, 4, ... into logits, (B, K, H, W) or coarser."""
        batch, _, height, width = features[0].shape
        # SMP's decoders take the image as the finest feature for its size and then drop it.
        image = features[0].new_zeros(()).expand(batch, 3, 2 * height, 2 * width)
        decoded = self.decoder([image, *features])
        if self.adjust_classifier is None or self.segmentation_head.training:
            return self.segmentation_head(decoded)
        name, last = self._last_convolution()
        changed = {f"{name}.weight": self.adjust_classifier(last.weight.flatten(1)).view_as(last.weight)}
        if last.bias is not None:
            changed[f"{name}.bias"] = torch.zeros_like(last.bias)
        return functional_call(self.segmentation_head, changed, (decoded,))

    def class_norms(self) -> Tensor:
        """Return the norm of each class's weights before any correction, (K,) float32."""
        return self._last_convolution()[1].weight.detach().float().flatten(1).norm(dim=1)

    def _last_convolution(self) -> tuple[str, nn.Conv2d]:
        """Return the layer that turns pixel embeddings into logits, and its name within the segmentation head."""
        layers = [(name, m) for name, m in self.segmentation_head.named_modules() if isinstance(m, nn.Conv2d)]
        return layers[-1]


class Segmenter(nn.Module):
    """One or several encoders, what brings their features to the strides of a head, and the head.

    Args:
        encoders: With their normalisations, and the levels that the head reads.
        neck: Features of all encoders -> one map at each stride of the head.
        head: Maps -> logits.
        section: The study's model; says how much of the encoders is trained.

    Attributes:
        classifier_only: Train the classifier and keep everything else as it is.
        encoder: Module of the one encoder, or a list of those of several.
    """

    def __init__(self, encoders: Sequence[Encoder], neck: Neck, head: nn.Module, section: EncoderSection) -> None:
        super().__init__()
        self.encoders, self.classifier_only = tuple(encoders), False
        modules = [encoder.module for encoder in encoders]
        self.encoder: nn.Module = modules[0] if len(modules) == 1 else nn.ModuleList(modules)
        self.neck, self.head = neck, head
        self.tuning = EncoderTuning(self.encoder, section)

    def train(self, mode: bool = True) -> "Segmenter":
        """Set training mode; what is frozen stays in evaluation mode."""
        super().train(mode and not self.classifier_only)
        if self.classifier_only:
            self.classifier.train(mode)
        self.tuning.train(mode and not self.classifier_only)
        return self

    def freeze_features(self) -> None:
        """Keep everything but the classifier as it is from now on."""
        self.classifier_only = True
        self.requires_grad_(False)
        self.classifier.requires_grad_(True)

    def place(self, device: torch.device) -> "Segmenter":
        """Move everything to a device but encoders without weights, which are nowhere."""
        for part in self._present.values():
            part.to(device)
        return self

    @property
    def _present(self) -> dict[str, nn.Module]:
        """Its parts that have weights, by their names in the state dict."""
        return {name: part for name, part in self.named_children() if not (part is self.encoder and self.is_bare)}

    @property
    def is_bare(self) -> bool:
        """True for encoders without weights: only features from a cache can be decoded."""
        return any(parameter.is_meta for parameter in self.encoder.parameters())

    def install(self, components: Components) -> None:
        """Put what a method brings for the model into its hooks; a hook that an architecture lacks stays empty."""
        if isinstance(self.head, ClassQueryDecoder):
            self.head.two_way.attention_bias = components.attention_bias
            self.head.two_way.attention_gate = components.attention_gate
        if isinstance(self.head, ClassQueryDecoder | SmpHead):
            self.head.adjust_classifier = components.adjust_classifier

    def encode(self, images: Tensor) -> list[Tensor]:
        """Encode RGB images in 0..255, (B, 3, H, W), into the features of every encoder: what a cache holds.

        Raises:
            RuntimeError: The encoders have no weights.
        """
        if self.is_bare and not images.is_meta:
            raise RuntimeError("A model without weights of its encoders reads cached features alone.")
        return [feature for encoder in self.encoders for feature in encoder.encode(images)]

    def maps(self, features: Sequence[Tensor], size_px: int) -> list[Tensor]:
        """Bring what `encode` gave for images of `size_px` to the strides of the head."""
        return self.neck(features, size_px)

    def decode(self, features: Sequence[Tensor], size_px: int) -> Tensor:
        """Decode features into logits at full resolution, (B, K, size_px, size_px) float32."""
        return enlarge(self.head(self.maps(features, size_px)), size_px)

    def forward(self, images: Tensor) -> Tensor:
        """RGB images in 0..255, (B, 3, S, S) -> logits, (B, K, S, S)."""
        return self.decode(self.encode(images), images.shape[-1])

    @property
    def class_query(self) -> ClassQueryDecoder | None:
        """The class-query decoder, or None for an architecture without class tokens."""
        return self.head if isinstance(self.head, ClassQueryDecoder) else None

    @property
    def classifier(self) -> nn.Module:
        """What turns pixel embeddings into logits; its parameters are `CLASSIFIER_PREFIXES` in the state dict."""
        if isinstance(self.head, SmpHead):
            return self.head.segmentation_head
        if isinstance(self.head, ClassQueryDecoder):
            return self.head.hypernetworks
        raise TypeError(f"A head must be one of ours or of SMP. Got {type(self.head).__name__}.")

    def stored_state(self) -> dict[str, Tensor]:
        """Everything that training changes: the state dict, without what is frozen of the encoders."""
        own = "encoder."
        return {
            name: value
            for name, value in self.state_dict().items()
            if not name.startswith(own) or self.tuning.stores(name.removeprefix(own))
        }

    def load_stored_state(self, state: Mapping[str, Tensor]) -> None:
        """Load what `stored_state` gave.

        Raises:
            KeyError: Tensors are missing or not of this model.
        """
        odd = sorted(set(state) ^ set(self.stored_state()))
        if odd:
            raise KeyError(odd[0])
        self.take_over(state)

    def take_over(self, state: Mapping[str, Tensor]) -> None:
        """Load what there is of a state dict, and leave the rest as it is."""
        for name, part in self._present.items():
            prefix = f"{name}."
            own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            part.load_state_dict(own, strict=False)

    def auxiliary_loss(self, logits: Tensor, target: Tensor, valid: Tensor) -> dict[str, Tensor]:
        """What the model adds to the loss of a training batch, by name; see `Loss.forward` for the arguments."""
        head = None if self.class_query is None else self.class_query.iou
        added = None if head is None else head.loss(logits, target, valid)
        return {} if added is None else {"iou": added}

    def shared_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters and buffers that every method of a study has: all but attention bias, gate and other tokens."""
        own = (".attention_bias.", ".attention_gate.")
        for name, value in self.stored_state().items():
            if not any(part in name for part in own) and not name.endswith(("two_way.extra", "two_way.hidden")):
                yield name, value


def enlarge(logits: Tensor, size_px: int) -> Tensor:
    """Bring a head's logits, (B, K, h, w), to full resolution, (B, K, size_px, size_px) float32."""
    logits = logits.float()
    if logits.shape[-1] == size_px:
        return logits
    return functional.interpolate(logits, size=(size_px, size_px), mode="bilinear", align_corners=False)


def require_known_architecture(name: str) -> None:
    """Refuse an architecture that is neither ours nor SMP's.

    Raises:
        UserError: With the nearest name.
    """
    architectures = [CLASS_QUERY, *smp.MODEL_ARCHITECTURES_MAPPING]
    if name not in architectures:
        raise UserError(f"`model.architecture`: unknown architecture '{name}'.{nearest(name, architectures)}")


def build_segmenter(
    section: ModelSection, *, n_classes: int, seed: int, extra_tokens: int = 0, with_encoders: bool = True
) -> Segmenter:
    """Build a model whose initial weights depend on `seed` alone, whatever the method.

    Args:
        section: Of the study file.
        n_classes: K.
        seed: The run's seed.
        extra_tokens: Tokens that a method's attention bias asks for.
        with_encoders: False where features are cached: encoders need no weights then and get none, if they can be built
            so; all others are the same.

    Raises:
        UserError: Unknown names, or encoder weights that do not fit.
    """
    require_known_architecture(section.architecture)
    with torch.random.fork_rng(devices=[]):
        encoders = _encoders(section, derive_seed(seed, "weights"), with_encoders=with_encoders)
        if section.architecture == CLASS_QUERY:
            encoders = [encoder.reading(QUERY_STRIDES_PX) for encoder in encoders]
            only_tokens = section.encoder_features == "tokens"
            if only_tokens:
                _require_token_stride(encoders, section.token_stride_px)
                neck = Neck(encoders, (section.token_stride_px,), None)
            else:
                neck = Neck(encoders, QUERY_STRIDES_PX, section.pyramid_channels)
            channels = neck.channels if only_tokens else (3, 0, *neck.channels)
            setting = DecoderSetting(
                channels, n_classes, class_query_size(section), extra_tokens, only_tokens, section.iou_head_weight
            )
            head: nn.Module = DECODERS[section.decoder](setting)
        else:
            encoders, neck, head = _smp_halves(section, encoders, n_classes)
        head = head.to(memory_format=torch.channels_last)
        return Segmenter(encoders, neck, head, section)


def _encoders(section: ModelSection, seed: int, *, with_encoders: bool) -> list[Encoder]:
    """Seed the generator and build the encoders, or let it go where it would be after them."""
    wanted = choices(section)
    # SMP builds its own encoder and its decoder in one
    bare = None if with_encoders or section.architecture != CLASS_QUERY else bare_encoders(wanted)
    if bare is not None:
        skip_draws(wanted, seed)
        return bare
    torch.manual_seed(seed)
    return [build_encoder(choice) for choice in wanted]


def _require_token_stride(encoders: Sequence[Encoder], stride_px: int) -> None:
    """Refuse encoders whose tokens, which nothing resizes, are not those that the decoder reads."""
    for encoder in encoders:
        if encoder.token_stride_px is None:
            raise UserError(
                f"`model.encoder_features: tokens` is for plain transformers. Got {encoder.choice.name}. "
                "Leave it out, or give one."
            )
        if encoder.token_stride_px != stride_px:
            raise UserError(
                f"`model.encoder_features: tokens` needs `model.token_stride_px` {encoder.token_stride_px}, the image "
                f"pixels per token of {encoder.choice.name} at scale {encoder.choice.scale:g}. Got {stride_px}. "
                "Set it, or change `encoder_scale`."
            )


def class_query_size(section: ModelSection) -> ClassQuerySize:
    """Pick the decoder's sizes out of the study's model section."""
    return ClassQuerySize(
        channels=section.channels,
        depth=section.depth,
        heads=section.heads,
        mlp_channels=section.mlp_channels,
        pixel_channels=section.pixel_channels,
        embedding_channels=section.embedding_channels,
        token_stride_px=section.token_stride_px,
    )


def _smp_halves(section: ModelSection, encoders: list[Encoder], n_classes: int) -> tuple[list[Encoder], Neck, SmpHead]:
    """Build the decoder of an SMP model for these encoders; some architectures change the strides of their own one."""
    first = encoders[0]
    try:
        if len(encoders) == 1 and first.token_stride_px is None:
            model: Any = smp.create_model(
                section.architecture,
                encoder_name=first.choice.name,
                encoder_weights=None,
                classes=n_classes,
                **hierarchical_options(first.choice),
            )
            model.encoder.load_state_dict(first.module.state_dict())
            channels = tuple(model.encoder.out_channels)
            levels = tuple(range(1, len(channels)))
            encoders = [replace(first, module=model.encoder, channels=channels, levels=levels)]
            neck = Neck(encoders, SMP_STRIDES_PX[: len(levels)], section.pyramid_channels)
        else:
            encoders = [encoder.reading(SMP_STRIDES_PX) for encoder in encoders]
            neck = Neck(encoders, SMP_STRIDES_PX, section.pyramid_channels)
            model = smp_model_for(section.architecture, (3, *neck.channels), n_classes)
    except (ValueError, KeyError, RuntimeError, NotImplementedError, TypeError) as error:
        raise UserError(
            f"`model.architecture` {section.architecture} does not work with encoder {section.encoder_name}: "
            f"{first_line(error)}"
        ) from error
    return encoders, neck, SmpHead(model.decoder, model.segmentation_head)
