"""Which classes the asymmetric losses call rare, and what becomes of them."""

import pytest
import torch

from methods import REGISTRY
from methods.asymmetric import rare_by
from tests.methods import method_cases as cases


def test_rare_classes_by_both_rules():
    statistics = cases.skewed_statistics()  # shares .398 .347 .078 .080 .097
    assert rare_by("all_but_most_frequent", statistics).tolist() == [False, True, True, True, True]
    assert rare_by("below_uniform", statistics).tolist() == [False, False, True, True, True]
    uniform = cases.uniform_statistics()
    for rule in ("all_but_most_frequent", "below_uniform"):
        assert not rare_by(rule, uniform).any()


@pytest.mark.parametrize(("name", "held"), [("asymmetric_focal", "treated_as_rare"), ("asymmetric_margin", "margin")])
def test_the_rule_reaches_the_loss(name, held):
    option = "gamma" if name == "asymmetric_focal" else "margin"
    for rule, treated in (("all_but_most_frequent", 4), ("below_uniform", 3)):
        components = cases.build(REGISTRY[name](rare=rule, **{option: 1.0}))  # pyright: ignore[reportCallIssue]
        assert components.class_parameters()[held].sum().item() == treated


def test_easy_pixels_of_rare_classes_keep_their_gradient():
    batch = cases.random_batch()
    easy = batch.logits + 3 * torch.nn.functional.one_hot(batch.target, cases.K).movedim(-1, 1)
    gradients = {}
    for gamma in (0.0, 4.0):
        loss = cases.loss_of(cases.build(REGISTRY["asymmetric_focal"](gamma=gamma)))  # pyright: ignore[reportCallIssue]
        logits = easy.clone().requires_grad_()
        term = loss.pixel_term(logits.log_softmax(1), batch.target, batch.valid)  # pyright: ignore[reportCallIssue]
        gradients[gamma] = torch.autograd.grad(term, logits)[0].abs().sum(1)
    common = batch.target == 0
    likely = easy.softmax(1).gather(1, batch.target.unsqueeze(1)).squeeze(1) > 0.8
    assert (common & batch.valid & likely).sum() >= 3
    assert gradients[4.0][common & likely].sum() < gradients[0.0][common & likely].sum() / 10
    torch.testing.assert_close(gradients[4.0][~common], gradients[0.0][~common])
