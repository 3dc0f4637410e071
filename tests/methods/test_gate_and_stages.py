"""What no loss value shows: exponents of the attention gate, optimiser groups, stages, scores of the feedback."""

from typing import Any

import pytest
import torch
from torch import nn

from methods.attention_gate import FocalAttentionGateConfig, FocalGate
from methods.base import ParamGroup, Stage
from methods.class_counts import ClassFeedback
from methods.classifiers import ClassifierRetrainingConfig, TauNormalisation
from tests.methods import method_cases as cases


def gate(**options: Any) -> FocalGate:
    return FocalGate(FocalAttentionGateConfig(**options), layers=2, n_classes=cases.K)


@pytest.mark.parametrize(("sharing", "columns"), [("per_layer", 1), ("per_class", cases.K)])
def test_an_exponent_belongs_to_a_layer_or_to_a_class_of_it(sharing, columns):
    made = gate(sharing=sharing)
    assert made.exponent.shape == (2, columns)
    assert made().shape == (2, cases.K)


def test_exponents_start_neutral_are_trained_and_stay_at_zero_or_above():
    made = gate()
    torch.testing.assert_close(made(), torch.ones(2, cases.K))
    assert isinstance(made.exponent, nn.Parameter)
    with torch.no_grad():
        made.exponent.copy_(torch.tensor([[-0.5], [0.25]]))
    torch.testing.assert_close(made()[:, 0], torch.tensor([0.0, 0.25]))
    torch.testing.assert_close(made.class_parameters()["focal_exponent"], torch.full((cases.K,), 0.125))
    assert not list(gate(learned=False).parameters())


def test_exponents_have_their_own_rate_and_no_decay():
    (plain,) = gate().param_groups(nn.Identity())
    (fast,) = gate(lr_multiplier=7.0).param_groups(nn.Identity())
    assert (plain.lr_multiplier, plain.weight_decay) == (1.0, 0.0)
    assert fast.lr_multiplier == 7.0


def test_a_group_of_parameters_is_neutral_by_default():
    group = ParamGroup([])
    assert (group.lr_multiplier, group.weight_decay, group.grad_clip, group.constant_schedule) == (
        1.0,
        0.0,
        None,
        False,
    )


def test_a_stage_takes_its_share_of_the_steps_and_at_least_one():
    assert Stage("whole").steps(300) == 300
    assert Stage("part", share=0.11).steps(300) == 33
    assert Stage("tiny", share=0.11).steps(1) == 1


def test_retraining_hands_the_features_on_for_a_ninth_of_the_steps():
    features, classifier = ClassifierRetrainingConfig().stages()
    assert (features.carry_weights, features.trains, features.steps(300)) == (False, "model", 300)
    assert (classifier.carry_weights, classifier.trains, classifier.steps(300)) == (True, "classifier", 33)


def test_norms_are_taken_over_the_weights_of_a_class():
    weights = torch.tensor([[[3.0, 4.0], [0.0, 2.0], [6.0, 8.0]]])
    torch.testing.assert_close(TauNormalisation(1.0)(weights).norm(dim=-1), torch.ones(1, 3))
    torch.testing.assert_close(TauNormalisation(0.5)(weights)[0, 0], weights[0, 0] / 5**0.5)


def test_feedback_scores_classes_that_are_always_missed_or_always_found():
    counts = (torch.tensor(values) for values in ([0, 4, 0, 2], [0, 0, 5, 1], [3, 0, 0, 1]))
    feedback = ClassFeedback(0, 0, *counts)  # missed, found, predicted but absent, half and half
    expected = torch.tensor([0.0, 1.0, torch.nan, 4 / 6], dtype=torch.float64)
    torch.testing.assert_close(feedback.dice, expected, equal_nan=True)
