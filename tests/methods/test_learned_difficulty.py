"""The head learns what classes cost, leaves the model alone, and weights follow only as far as it has learned."""

import torch
from torch import Tensor

from methods.learned_difficulty import LARGEST_LOSS, LearnedDifficultyConfig, LearnedDifficultyDice, LossPredictor
from methods.step_counts import StepCounts
from tests.methods import method_cases as cases


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


def test_the_heads_first_weights_depend_on_its_seed_alone():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = LossPredictor(cases.K, 16, seed=7)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    again, other = LossPredictor(cases.K, 16, seed=7), LossPredictor(cases.K, 16, seed=8)
    assert torch.equal(first.surroundings.weight, again.surroundings.weight)
    assert not torch.equal(first.surroundings.weight, other.surroundings.weight)


def test_a_hopeless_pixel_counts_as_the_largest_loss():
    predictor = LossPredictor(2, 3, seed=0)
    torch.nn.init.ones_(predictor.out.weight)
    valid = torch.ones(1, 1, 1, dtype=torch.bool)
    at_the_bound, beyond = (torch.tensor([-low, 0.0]).view(1, 2, 1, 1) for low in (LARGEST_LOSS, 500.0))
    torch.testing.assert_close(predictor(beyond, valid), predictor(at_the_bound, valid))
    loss = loss_of()
    batch = cases.random_batch()
    logits = batch.logits.clone()
    logits[:, 0] = 1000.0
    for step in range(2):
        loss(logits, batch.target, batch.valid, step)
    torch.testing.assert_close(loss.observed[1:], torch.full((cases.K - 1,), LARGEST_LOSS, dtype=torch.float64))


def test_the_options_that_no_weight_shows():
    loss = loss_of()
    assert loss.head.surroundings.out_channels == 16
    (group,) = loss.param_groups(torch.nn.Identity())
    assert group.grad_clip == 1
    assert group.parameters == list(loss.head.parameters())
    batch = cases.random_batch()
    error = loss(batch.logits, batch.target, batch.valid, 0).parts["prediction_error"]
    cross_entropy = torch.nn.functional.cross_entropy(batch.logits, batch.target, reduction="none")
    torch.testing.assert_close(error, cross_entropy[batch.valid].square().mean())  # of a head that expects 0 so far


def renewed(expected: list[float], observed: list[float], seen: list[bool], **options: float) -> Tensor:
    """Weights from given running means."""
    loss = loss_of(**options)
    with torch.no_grad():
        loss.expected.copy_(torch.tensor(expected))
        loss.observed.copy_(torch.tensor(observed))
        loss.seen.copy_(torch.tensor(seen))
    loss.renew(torch.zeros(3, cases.K))
    return loss.weight


def relative(values: list[float]) -> Tensor:
    weights = torch.tensor(values, dtype=torch.float32)
    return weights / weights.mean()


def test_weights_are_the_expected_losses_to_a_power_and_never_negative():
    every = [True] * 5
    squared = renewed([1, 2, 3, 3, 6], [0] * 5, every, strength=2.0)
    torch.testing.assert_close(squared, relative([1, 4, 9, 9, 36]))
    torch.testing.assert_close(renewed([-1, 2, 3, 3, 6], [0] * 5, every), relative([0, 2, 3, 3, 6]))


def test_what_the_head_does_not_expect_yet_is_shared_and_means_are_over_seen_classes():
    # E over the seen classes is 2 and O is 5, so 3 is added to each of them; the class not seen gets their mean
    weights = renewed([1, 2, 0, 2, 3], [4, 5, 0, 5, 6], [True, True, False, True, True])
    torch.testing.assert_close(weights, relative([4, 5, 5, 5, 6]))
    # negative expectations count as 0 in the mean that a class not seen gets
    weights = renewed([-4, 6, 0, 6, 0], [0] * 5, [True, True, False, True, False])
    torch.testing.assert_close(weights, relative([0, 6, 4, 6, 4]))


def test_one_seen_class_is_its_own_mean():
    # with E = 2 and O = 6 the only seen class gets 6, and so do the others
    weights = renewed([2, 0, 0, 0, 0], [6, 0, 0, 0, 0], [True, False, False, False, False])
    torch.testing.assert_close(weights, torch.ones(cases.K))


def test_a_single_pixel_is_enough_to_see_a_class():
    loss = loss_of()
    counted = torch.zeros(3, cases.K)
    counted[:, 1] = torch.tensor([2.0, 3.0, 1.0])
    loss.renew(counted)
    assert loss.seen.tolist() == [False, True, False, False, False]
    assert loss.expected[1] == 2
    assert loss.observed[1] == 3
    assert torch.isfinite(loss.weight).all()


def test_no_class_seen_leaves_every_running_mean_a_number():
    loss = loss_of()
    loss.renew(torch.zeros(3, cases.K))
    for held in (loss.expected, loss.observed, loss.mean_of_seen(loss.observed)):
        assert torch.isfinite(held).all()
    torch.testing.assert_close(loss.weight, torch.ones(cases.K))


def test_what_is_counted_holds_no_graph():
    counts = StepCounts(2)
    counts.hand_over(0)
    counts.add(torch.ones(2, requires_grad=True))
    assert not counts.counts.requires_grad
