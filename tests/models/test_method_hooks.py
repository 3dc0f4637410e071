"""What methods change of a model: attention exponents, classifier weights, frozen features."""

import pytest
import torch

from imbalance_bench.config import ModelSection
from imbalance_bench.models.attention import Attention
from imbalance_bench.models.segmenter import CLASSIFIER_PREFIXES, Segmenter, build_segmenter
from methods.attention_gate import FocalAttentionGateConfig
from methods.base import BuildContext, ClassStatistics, Components
from methods.classifiers import TauNormalisation

SMALL = {"channels": 16, "heads": 2, "mlp_channels": 16, "pixel_channels": (16, 8, 8), "embedding_channels": 8}
FLAT = torch.ones(3, dtype=torch.float64)
CONTEXT = BuildContext(
    ClassStatistics(("a", "b", "c"), FLAT, FLAT, FLAT, FLAT, 1), attention_layers=2, attention_heads=2
)
IMAGES = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
both_heads = pytest.mark.parametrize("architecture", ["class_query", "unet"])


def model(architecture: str = "class_query", extra_tokens: int = 0) -> Segmenter:
    section = ModelSection.model_validate({"encoder": "tu-test_resnet", "architecture": architecture, **SMALL})
    return build_segmenter(section, n_classes=3, seed=0, extra_tokens=extra_tokens).eval()


def gate(**options: object) -> Components:
    return FocalAttentionGateConfig.model_validate(options).build(CONTEXT)


def test_an_exponent_acts_on_the_weights_after_the_softmax_without_normalising_again() -> None:
    torch.manual_seed(0)
    attention = Attention(dim=8, heads=2).double()
    query, key, value = (torch.randn(1, n, 8, dtype=torch.float64) for n in (5, 3, 3))
    bias, exponent = torch.tensor([0.5, -1.0, 0.0], dtype=torch.float64), torch.tensor([1.0, 2.0, 0.5])
    found = attention(query, key, value, bias.view(1, 1, 3), exponent)
    q, k, v = attention.query(query)[0], attention.key(key)[0], attention.value(value)[0]
    expected = torch.zeros(5, 8, dtype=torch.float64)
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        for i in range(5):
            logits = torch.stack([q[i, part] @ k[j, part] / 2 + bias[j] for j in range(3)])
            weights = logits.exp() / logits.exp().sum()
            expected[i, part] = sum(weights[j] ** exponent[j] * v[j, part] for j in range(3))
    torch.testing.assert_close(found[0], attention.out(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("extra_tokens", [0, 2])
def test_a_gate_of_exponent_one_is_no_gate_and_any_other_is(extra_tokens: int) -> None:
    plain, gated = model(extra_tokens=extra_tokens), model(extra_tokens=extra_tokens)
    with torch.inference_mode():
        expected = plain(IMAGES)
        gated.install(gate())
        torch.testing.assert_close(gated(IMAGES), expected, rtol=1e-5, atol=1e-5)
        gated.install(gate(gamma=3.0))
        assert (gated(IMAGES) - expected).abs().max() > 1e-4


def test_exponents_receive_gradients_and_stay_out_of_the_shared_weights() -> None:
    segmenter, components = model(), gate(sharing="per_class")
    before = [name for name, _ in segmenter.shared_parameters()]
    segmenter.install(components)
    assert [name for name, _ in segmenter.shared_parameters()] == before
    segmenter(IMAGES).square().sum().backward()
    assert components.attention_gate is not None
    (exponent,) = components.attention_gate.parameters()
    assert exponent.shape == (2, 3)
    assert exponent.grad is not None
    assert (exponent.grad != 0).all()


def test_each_layer_and_class_has_the_exponent_that_the_gate_gives_it() -> None:
    """Exponent 0 makes every weight 1, so that what a place attends to no longer matters."""
    components = gate(sharing="per_class", learned=False, gamma=0.0)
    segmenter = model()
    segmenter.install(components)
    assert segmenter.class_query is not None
    seen = [segmenter.class_query.two_way._exponent_of(layer) for layer in range(2)]
    assert all(exponent is not None and exponent.tolist() == [0.0] * 3 for exponent in seen)


@both_heads
def test_tau_normalisation_acts_in_evaluation_alone(architecture: str) -> None:
    plain, normalised = model(architecture), model(architecture)
    normalised.install(Components(adjust_classifier=TauNormalisation(1.0)))
    with torch.inference_mode():
        assert (plain(IMAGES) - normalised(IMAGES)).abs().max() > 1e-3
        plain.classifier.train()
        normalised.classifier.train()
        assert torch.equal(plain(IMAGES), normalised(IMAGES))


def test_tau_normalisation_divides_the_logits_of_class_tokens_by_the_norm() -> None:
    segmenter = model()
    decoder = segmenter.class_query
    assert decoder is not None
    with torch.inference_mode():
        features = segmenter.encode(IMAGES)
        prepared = decoder.prepare(features)
        tokens, _ = decoder.two_way(prepared.image, prepared.position)
        norm = decoder.hypernetworks(decoder.two_way.class_part(tokens)).norm(dim=-1)  # (B, K)
        expected = decoder(features) / norm[:, :, None, None] ** 0.5
        segmenter.install(Components(adjust_classifier=TauNormalisation(0.5)))
        torch.testing.assert_close(decoder(features), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(decoder.class_statistics(features)[1], norm.mean(0))


def test_tau_normalisation_of_a_convolution_drops_its_bias() -> None:
    plain, normalised = model("unet"), model("unet")
    convolution = plain.classifier[0]  # pyright: ignore[reportIndexIssue]
    with torch.no_grad():
        normalised.load_state_dict(plain.state_dict())
        normalised.install(Components(adjust_classifier=TauNormalisation(1.0)))
        norm = convolution.weight.flatten(1).norm(dim=1)
        convolution.weight /= norm.view(-1, 1, 1, 1)
        convolution.bias.zero_()
        torch.testing.assert_close(normalised(IMAGES), plain(IMAGES), rtol=1e-4, atol=1e-5)


@both_heads
def test_frozen_features_leave_the_classifier_alone_to_learn(architecture: str) -> None:
    segmenter = model(architecture)
    segmenter.freeze_features()
    segmenter.train()
    before = {name: value.clone() for name, value in segmenter.state_dict().items()}
    trained = [parameter for parameter in segmenter.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=1.0)
    for _ in range(2):  # biases of the class perceptrons' hidden layers may be dead once
        segmenter(IMAGES).square().mean().backward()
        optimiser.step()
    changed = {name for name, value in segmenter.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith(CLASSIFIER_PREFIXES) for name in changed)
