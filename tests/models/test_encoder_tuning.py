"""How much of an encoder is trained: what moves, what is stored, how fast, and that the rest stays as it was."""

from typing import Any

import pytest
import torch
from torch import Tensor

from imbalance_bench.config import ModelSection, TrainingSection
from imbalance_bench.errors import UserError
from imbalance_bench.models.segmenter import Segmenter, build_segmenter
from imbalance_bench.training.optimisation import Optimisation, parameter_counts
from methods.cross_entropy import CrossEntropyDice

SMALL = {"channels": 16, "heads": 2, "mlp_channels": 16, "pixel_channels": (16, 8, 8), "embedding_channels": 8}
TINY = {"embed_dim": 32, "depth": 4, "num_heads": 2}
IMAGES = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
TARGET = torch.randint(0, 3, (2, 64, 64), generator=torch.Generator().manual_seed(1))


def build(encoder: str = "tu-vit_tiny_patch16_224", **options: Any) -> Segmenter:
    kwargs = TINY if "vit" in encoder else {}
    content = {"encoder": encoder, "encoder_kwargs": kwargs, "pyramid_channels": 8, **SMALL, **options}
    return build_segmenter(ModelSection.model_validate(content), n_classes=3, seed=0)


def step(model: Segmenter, **training: Any) -> Optimisation:
    section = TrainingSection.model_validate({"warmup_steps": 0, "weight_decay": 0.0, **training})
    loss = CrossEntropyDice()
    optimisation = Optimisation(model.train(), loss, (), section)
    loss(model(IMAGES), TARGET, torch.ones_like(TARGET, dtype=torch.bool), 0).total.backward()
    optimisation.step()
    return optimisation


def changed(before: dict[str, Tensor], model: Segmenter) -> set[str]:
    return {name for name, value in model.state_dict().items() if not torch.equal(before[name], value)}


def snapshot(model: Segmenter) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_lora_starts_as_the_frozen_model_and_moves_adapters_alone() -> None:
    frozen, model = build().eval(), build(encoder_tuning="lora", lora_rank=3, lora_alpha=6.0).eval()
    with torch.inference_mode():
        assert torch.equal(frozen(IMAGES), model(IMAGES))
    before = snapshot(model)
    step(model)
    step(model)
    moved = {name for name in changed(before, model) if name.startswith("encoder.")}
    assert moved == {name for name in before if ".lora_" in name}
    assert len(moved) == 2 * 2 * 4  # A and B of qkv and proj in four blocks
    rows = {"qkv": 96, "proj": 32}
    adapters = 4 * sum(3 * (32 + out) for out in rows.values())
    others = sum(p.numel() for part in (model.neck, model.head) for p in part.parameters())
    assert parameter_counts(model)["trainable"] == adapters + others
    assert {name for name in model.stored_state() if name.startswith("encoder.")} == moved


def test_a_low_rank_update_is_the_product_of_its_matrices() -> None:
    model = build(encoder_tuning="lora", lora_rank=3, lora_alpha=6.0)
    step(model)
    linear: Any = model.encoder.blocks[1].attn.qkv  # pyright: ignore[reportAttributeAccessIssue, reportIndexIssue]
    update = linear.parametrizations.weight[0]
    assert update.lora_B.abs().sum() > 0
    merged = linear.parametrizations.weight.original + 6.0 / 3 * update.lora_B @ update.lora_A
    torch.testing.assert_close(linear.weight, merged)


@pytest.mark.parametrize(
    "encoder", ["tu-vit_small_patch16_dinov3", "tu-samvit_base_patch16", "tu-swin_tiny_patch4_window7_224"]
)
def test_lora_finds_the_attention_of_other_transformers(encoder: str) -> None:
    options = {"encoder_kwargs": {**TINY, "img_size": 64, "window_size": 2} if "samvit" in encoder else {}}
    model = build(encoder, encoder_tuning="lora", **(options if "samvit" in encoder or "swin" in encoder else {}))
    before = snapshot(model)
    step(model)
    moved = {name for name in changed(before, model) if name.startswith("encoder.")}
    assert moved
    assert all(name.endswith("lora_B") for name in moved)  # A has no gradient while B is zero


def test_last_blocks_move_and_train_alone() -> None:
    model = build(encoder_tuning="last_blocks", last_blocks=2, encoder_kwargs={**TINY, "proj_drop_rate": 0.1})
    before = snapshot(model)
    step(model)
    blocks = {name.split(".")[3] for name in changed(before, model) if name.startswith("encoder.model.blocks.")}
    assert blocks == {"2", "3"}
    assert not any("patch_embed" in name or "pos_embed" in name for name in changed(before, model))
    modules: Any = model.encoder.blocks
    assert [block.training for block in modules] == [False, False, True, True]
    assert not any(m.training for m in model.eval().encoder.modules())
    stored = {name.split(".")[3] for name in model.stored_state() if name.startswith("encoder.model.blocks.")}
    assert stored == {"2", "3"}


def test_stored_state_brings_a_tuned_model_back() -> None:
    for tuning in ("frozen", "lora", "last_blocks", "full"):
        model = build(encoder_tuning=tuning)
        step(model)
        again = build(encoder_tuning=tuning)
        again.load_stored_state({name: value.clone() for name, value in model.stored_state().items()})
        with torch.inference_mode():
            assert torch.equal(model.eval()(IMAGES), again.eval()(IMAGES)), tuning
        with pytest.raises(KeyError):
            again.load_stored_state({"head.nothing": torch.zeros(1)})


def test_earlier_blocks_learn_more_slowly() -> None:
    model = build(encoder_tuning="full", encoder_layer_decay=0.5)
    optimisation = step(model, learning_rate=1e-2, encoder_lr_multiplier=0.1, schedule="constant")
    names = {id(p): name for name, p in model.encoder.named_parameters()}
    rate = {names[id(p)]: g["lr"] for g in optimisation.optimiser.param_groups for p in g["params"] if id(p) in names}
    assert len(rate) == len(names)
    assert rate["model.pos_embed"] == pytest.approx(1e-3 * 0.5**4)
    assert rate["model.patch_embed.proj.weight"] == pytest.approx(1e-3 * 0.5**4)
    assert rate["model.blocks.0.norm1.weight"] == pytest.approx(1e-3 * 0.5**3)
    assert rate["model.blocks.3.norm1.weight"] == rate["model.norm.weight"] == pytest.approx(1e-3)


@pytest.mark.parametrize("tuning", ["lora", "last_blocks", "full"])
def test_checkpointed_activations_give_the_same_gradients(tuning: str) -> None:
    gradients = []
    for checkpointed in (False, True):
        model = build(encoder_tuning=tuning, activation_checkpointing=checkpointed).train()
        model(IMAGES).square().mean().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name])
    assert build(encoder_tuning="full", activation_checkpointing=True).encoder.model.grad_checkpointing  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "resnet18", "encoder_tuning": "lora"}, "lora` adapts the attention projections of transformers"),
        ({"encoder": "resnet18", "encoder_tuning": "last_blocks"}, "last_blocks` is for plain vision transformers"),
        ({"encoder_tuning": "last_blocks", "last_blocks": 9}, r"must be <= the blocks of the encoder \(4\). Got 9"),
        (
            {"encoder": "resnet18", "encoder_tuning": "full", "encoder_layer_decay": 0.9},
            "is for plain vision transformers",
        ),
        ({"encoder": "resnet18", "encoder_tuning": "full", "activation_checkpointing": True}, "cannot recompute"),
    ],
)
def test_tuning_that_an_encoder_does_not_have_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lora_rank": 4}, "`lora_rank` does not apply to `encoder_tuning: frozen`"),
        ({"encoder_tuning": "full", "last_blocks": 3}, "`last_blocks` does not apply to `encoder_tuning: full`"),
        (
            {"encoder_frozen": True, "encoder_tuning": "lora"},
            "`encoder_frozen: true` contradicts `encoder_tuning: lora`",
        ),
        ({"activation_checkpointing": True}, "does not apply to a frozen encoder"),
        (
            {"encoder": ["resnet18", "resnet34"], "encoder_weights": ["none"]},
            r"one value for each encoder \(2\). Got 1",
        ),
        ({"encoder": ["resnet18", "resnet34"], "encoder_kwargs": {"a": 1}}, "cannot be set for fused encoders"),
        ({"encoder_mean": [0.5, 0.5, 0.5]}, "belong together"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelSection.model_validate(options)


def test_old_and_new_words_for_tuning_mean_the_same() -> None:
    for tuning, frozen in (("frozen", True), ("full", False)):
        by_old, by_new = (
            ModelSection.model_validate(one) for one in ({"encoder_frozen": frozen}, {"encoder_tuning": tuning})
        )
        assert by_old == by_new
        dumped = by_old.model_dump(mode="json")
        assert dumped["encoder_frozen"] is frozen
        assert not dumped.keys() & {"encoder_tuning", "lora_rank", "label", "encoder_scale"}
    lora = ModelSection.model_validate({"encoder_tuning": "lora"})
    assert ModelSection.model_validate(lora.model_dump(mode="json")) == lora
