"""The head learns what classes cost, leaves the model alone, and weights follow only as far as it has learned."""

import method_cases as cases
import torch
from torch import Tensor

from methods.learned_difficulty import LearnedDifficultyConfig, LearnedDifficultyDice


def loss_of(**options: float) -> LearnedDifficultyDice:
    loss = cases.build(LearnedDifficultyConfig.model_validate(options)).loss
    assert isinstance(loss, LearnedDifficultyDice)
    return loss


def hard_last_class(seed: int) -> cases.Batch:
    """Every class is predicted well but the last, whose pixels look unsure."""
    batch = cases.random_batch(seed, size_px=8)
    sure = torch.nn.functional.one_hot(batch.target, cases.K).movedim(-1, 1) * 4.0
    unsure = (batch.target == cases.K - 1).unsqueeze(1)
    return cases.Batch(torch.where(unsure, 0.2 * batch.logits, sure), batch.target, batch.valid)


def train(loss: LearnedDifficultyDice, steps: int) -> list[Tensor]:
    """Train the head alone and return the weights along the way."""
    optimiser = torch.optim.AdamW(loss.head.parameters(), lr=0.02)
    weights = []
    for step in range(steps):
        batch = hard_last_class(step)
        optimiser.zero_grad()
        loss(batch.logits, batch.target, batch.valid, step).total.backward()
        optimiser.step()
        weights.append(loss.weight.clone())
    return weights


def test_the_head_finds_the_hard_class_and_weights_part_gradually():
    loss = loss_of(momentum=0.8)
    weights = train(loss, 120)
    torch.testing.assert_close(weights[0], torch.ones(cases.K))
    assert weights[3].max() < 1.5  # the head is all but untrained: a ratio of small numbers must not become a weight
    assert weights[-1].argmax() == cases.K - 1
    assert weights[-1][-1] > 2
    held = loss.class_parameters()
    torch.testing.assert_close(held["difficulty"][-1], held["observed_loss"][-1], rtol=0.2, atol=0.0)


def test_no_gradient_of_the_prediction_reaches_the_model():
    batch = cases.random_batch()
    gradients = []
    for weight in (0.0, 5.0):
        loss = loss_of(prediction_weight=weight)
        with torch.no_grad():
            loss.head.out.weight.fill_(1.0)
        logits = batch.logits.clone().requires_grad_()
        loss(logits, batch.target, batch.valid, 0).total.backward()
        assert logits.grad is not None
        gradients.append(logits.grad)
    assert torch.equal(*gradients)


def test_running_means_forget_at_the_given_rate():
    loss = loss_of(momentum=0.75)
    first, second = cases.random_batch(1), cases.random_batch(2)
    observed = []
    for step, batch in enumerate((first, second, second)):
        loss(batch.logits, batch.target, batch.valid, step)
        observed.append(loss.observed.clone())

    def class_mean(batch: cases.Batch, k: int) -> float:
        cross_entropy = torch.nn.functional.cross_entropy(batch.logits, batch.target, reduction="none")
        return float(cross_entropy[(batch.target == k) & batch.valid].mean())

    for k in range(cases.K):
        one, two = class_mean(first, k), class_mean(second, k)
        torch.testing.assert_close(float(observed[1][k]), one, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(float(observed[2][k]), 0.75 * one + 0.25 * two, rtol=1e-5, atol=1e-6)


def test_a_class_that_was_not_seen_gets_the_mean_weight_of_the_others():
    loss = loss_of()
    batch = cases.random_batch()
    target = torch.where(batch.target == 2, 1, batch.target)
    for step in range(2):
        loss(batch.logits, target, batch.valid, step)
    with torch.no_grad():
        loss.expected.copy_(torch.tensor([1.0, 2.0, 0.0, 3.0, 6.0]))
    loss.renew(torch.zeros(3, cases.K))
    difficulty = torch.tensor([1.0, 2.0, 3.0, 3.0, 6.0])
    torch.testing.assert_close(loss.weight, difficulty / difficulty.mean())
