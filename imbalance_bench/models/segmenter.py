"""A segmentation model in two halves, so that a frozen encoder's features can be cached between them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from imbalance_bench.config import ModelSection
from imbalance_bench.errors import UserError, nearest
from imbalance_bench.models.class_query import ClassQueryDecoder, ClassQuerySize, DecoderSetting
from imbalance_bench.models.decoders import DECODERS
from imbalance_bench.models.encoders import DEPTH, Encoder, build_encoder
from imbalance_bench.seeding import derive_seed
from methods.base import Components

CLASS_QUERY = "class_query"
COARSEST_STRIDE_PX = 2**DEPTH
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
    """An encoder and a head.

    Args:
        encoder: With its normalisation.
        head: Maps the features of `levels` to logits.
        levels: Indices of the encoder's features that the head reads; index i has stride 2**i.
        frozen: Keep the encoder's weights and statistics as they are.

    Attributes:
        classifier_only: Train the classifier and keep everything else as it is.
    """

    def __init__(self, encoder: Encoder, head: nn.Module, levels: Sequence[int], *, frozen: bool) -> None:
        super().__init__()
        self.normalise = encoder.normalise
        self.channels = tuple(encoder.channels[level] for level in levels)
        self.levels, self.frozen, self.classifier_only = tuple(levels), frozen, False
        self.encoder, self.head = encoder.module, head
        if frozen:
            self.encoder.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Segmenter":
        """Set training mode; what is frozen stays in evaluation mode."""
        super().train(mode and not self.classifier_only)
        if self.classifier_only:
            self.classifier.train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def freeze_features(self) -> None:
        """Keep everything but the classifier as it is from now on."""
        self.classifier_only = True
        self.requires_grad_(False)
        self.classifier.requires_grad_(True)

    def install(self, components: Components) -> None:
        """Put what a method brings for the model into its hooks; a hook that an architecture lacks stays empty."""
        if isinstance(self.head, ClassQueryDecoder):
            self.head.two_way.attention_bias = components.attention_bias
            self.head.two_way.attention_gate = components.attention_gate
        if isinstance(self.head, ClassQueryDecoder | SmpHead):
            self.head.adjust_classifier = components.adjust_classifier

    def encode(self, images: Tensor) -> list[Tensor]:
        """Encode RGB images in 0..255, (B, 3, H, W), into the features that the head reads."""
        features = self.encoder(self.normalise(images.float()).contiguous(memory_format=torch.channels_last))
        return [features[level] for level in self.levels]

    @torch.inference_mode()
    def feature_strides(self) -> tuple[int, ...]:
        """Image pixels per feature pixel of each level; some architectures dilate the encoder's last stages."""
        device = next(self.encoder.parameters()).device
        edge = 2 * COARSEST_STRIDE_PX
        training = self.encoder.training
        self.encoder.eval()
        features = self.encode(torch.zeros(1, 3, edge, edge, device=device))
        self.encoder.train(training)
        return tuple(edge // feature.shape[-1] for feature in features)

    def decode(self, features: Sequence[Tensor], size_px: int) -> Tensor:
        """Decode features into logits at full resolution, (B, K, size_px, size_px) float32."""
        return enlarge(self.head(features), size_px)

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
        """Everything that training changes: the state dict, without a frozen encoder."""
        return {k: v for k, v in self.state_dict().items() if not (self.frozen and k.startswith("encoder."))}

    def shared_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters and buffers that every method of a study has: all but attention bias, gate and extra tokens."""
        own = (".attention_bias.", ".attention_gate.")
        for name, value in self.stored_state().items():
            if not any(part in name for part in own) and not name.endswith("two_way.extra"):
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
    known = [CLASS_QUERY, *smp.MODEL_ARCHITECTURES_MAPPING]
    if name not in known:
        raise UserError(f"`model.architecture`: unknown architecture '{name}'.{nearest(name, known)}")


def build_segmenter(section: ModelSection, *, n_classes: int, seed: int, extra_tokens: int = 0) -> Segmenter:
    """Build a model whose initial weights depend on `seed` alone, whatever the method.

    Args:
        section: Of the study file.
        n_classes: K.
        seed: The run's seed.
        extra_tokens: Tokens that a method's attention bias asks for.

    Raises:
        UserError: Unknown names, or encoder weights that do not fit.
    """
    require_known_architecture(section.architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))
        encoder = build_encoder(section.encoder, section.encoder_weights)
        if section.architecture == CLASS_QUERY:
            setting = DecoderSetting(encoder.channels, n_classes, class_query_size(section), extra_tokens)
            head: nn.Module = DECODERS[section.decoder](setting)
            levels = range(2, DEPTH + 1)
        else:
            encoder, head = _smp_halves(section, encoder, n_classes)
            levels = range(1, len(encoder.channels))
    head = head.to(memory_format=torch.channels_last)
    return Segmenter(encoder, head, levels, frozen=section.encoder_frozen)


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


def _smp_halves(section: ModelSection, encoder: Encoder, n_classes: int) -> tuple[Encoder, SmpHead]:
    """Build an SMP model around the weights of `encoder`; some architectures change the encoder's strides."""
    try:
        model: Any = smp.create_model(
            section.architecture, encoder_name=section.encoder, encoder_weights=None, classes=n_classes
        )
        model.encoder.load_state_dict(encoder.module.state_dict())
    except (ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"`model.architecture` {section.architecture} does not work with encoder {section.encoder}: {first_line}"
        ) from error
    channels = tuple(model.encoder.out_channels)
    return Encoder(model.encoder, channels, encoder.mean, encoder.std, encoder.weights_hash), SmpHead(
        model.decoder, model.segmentation_head
    )
