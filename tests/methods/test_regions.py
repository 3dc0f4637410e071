"""What losses of boundaries and regions promise where labels are missing, and what a component counts for."""

import pytest
import torch

from methods import REGISTRY
from methods.base import BuildContext
from methods.boundary import BoundaryLossConfig, contour
from methods.regions import components, nearest_components, signed_distances
from tests.methods import method_cases as cases

REGIONS = ("boundary_loss", "contour_weighted", "blob_loss", "cc_loss", "rmi")


def striped(width: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Class 0 left, an unlabelled column, class 1 right; (1, 2, width)."""
    target = torch.zeros(1, 2, width, dtype=torch.long)
    target[:, :, width // 2 :] = 1
    valid = torch.ones_like(target, dtype=torch.bool)
    valid[:, :, width // 2] = False
    return target, valid


def test_an_unlabelled_column_is_no_border():
    target, valid = striped(6)  # 0 0 0 ? 1 1
    distance = signed_distances(target, valid, 3)
    assert distance[0, 0, 0].tolist() == [-3.0, -2.0, -1.0, 1.0, 2.0, 3.0]
    assert distance[0, 1, 0, 2].item() == 2
    assert (distance[0, 2] == 0).all()  # a class that does not occur
    assert not contour(target, valid, 3, 1).any()
    assert contour(target, valid, 3, 2)[0, 0].tolist() == [False, False, True, False, True, False]


def test_a_class_that_covers_all_labelled_pixels_has_no_border():
    target, valid = torch.zeros(1, 3, 3, dtype=torch.long), torch.ones(1, 3, 3, dtype=torch.bool)
    valid[0, 0, 0] = False
    assert (signed_distances(target, valid, 2) == 0).all()


def test_components_are_numbered_through_the_batch_and_joined_by_corners():
    target = torch.tensor([[[0, 1], [1, 0]], [[2, 2], [2, 2]], [[0, 1], [0, 1]]])
    valid = torch.ones_like(target, dtype=torch.bool)
    valid[1] = False
    found = components(target, valid)
    assert found.n == 4
    assert found.image.tolist() == [0, 0, 2, 2]
    assert sorted(found.of_class.tolist()) == [0, 0, 1, 1]
    assert (found.of_pixel[1] == found.n).all()
    assert found.of_pixel[0, 0, 1] == found.of_pixel[0, 1, 0]
    assert found.sums(torch.ones(3, 2, 2)).tolist() == [2.0, 2.0, 2.0, 2.0]


def test_nearest_components_are_of_the_class_and_the_image():
    target = torch.tensor([[[1, 0, 0, 0, 1]], [[0, 0, 0, 0, 0]]])
    found = components(target, torch.ones_like(target, dtype=torch.bool))
    nearest = nearest_components(found, 3)
    left, right = found.of_pixel[0, 0, 0], found.of_pixel[0, 0, 4]
    assert nearest[0, 1, 0, [0, 1, 3, 4]].tolist() == [left, left, right, right]
    assert (nearest[1, 1] == found.n).all()
    assert (nearest[:, 2] == found.n).all()


@pytest.mark.parametrize("name", REGIONS)
def test_an_image_without_labels_changes_nothing_but_for_means_over_images(name):
    batch = cases.random_batch()
    loss = cases.loss_of(cases.build(REGISTRY[name]()))
    alone = loss(batch.logits, batch.target, batch.valid, 0).total
    more = (torch.cat([values, values[:1].flip(-1)]) for values in (batch.logits, batch.target))
    valid = torch.cat([batch.valid, torch.zeros_like(batch.valid[:1])])
    torch.testing.assert_close(loss(*more, valid, 0).total, alone, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["blob_loss", "cc_loss"])
def test_a_missed_small_component_costs_as_much_as_a_missed_large_one(name):
    target = torch.zeros(1, 20, 20, dtype=torch.long)
    target[0, 2:4, 2:4] = 1
    target[0, 8:18, 8:18] = 1
    right = torch.nn.functional.one_hot(target, 2).movedim(-1, 1) * 60.0 - 30.0
    costs = []
    for rows in (slice(2, 4), slice(8, 18)):
        missed = right.clone()
        missed[:, :, rows, rows] = missed[:, :, rows, rows].flip(1)
        loss = cases.loss_of(REGISTRY[name]().build(BuildContext(cases.uniform_statistics())))
        parts = loss(missed, target, torch.ones_like(target, dtype=torch.bool), 0).parts
        costs.append(parts["blob" if name == "blob_loss" else "connected_components"].item())
        false = int((missed.argmax(1) != target).sum())  # pixels of the only component of class 0 to excess
        background = 1 - 2 * 296 / (2 * 296 + false)
        assert costs[-1] == pytest.approx(0.5 * (0.5 + background) / 2, rel=1e-5)  # one of two components is missed


@pytest.mark.parametrize("name", ["blob_loss", "cc_loss"])
def test_the_instance_term_of_a_batch_of_one_component_is_its_dice_loss(name):
    batch = cases.random_batch()
    target, valid = torch.full_like(batch.target, 3), torch.ones_like(batch.valid)
    one = (values[:1] for values in (batch.logits, target, valid))
    parts = cases.loss_of(cases.build(REGISTRY[name]()))(*one, 0).parts
    parts = {key: value.item() for key, value in parts.items()}
    assert parts["blob" if name == "blob_loss" else "connected_components"] == pytest.approx(0.5 * parts["dice"])


def test_a_crop_of_fewer_rows_than_classes_has_contours_too():
    target, valid = torch.tensor([[[0, 0, 0, 4, 4, 4]]]), torch.ones(1, 1, 6, dtype=torch.bool)
    assert contour(target, valid, 5, 1)[0, 0].tolist() == [False, False, True, True, False, False]
    batch = cases.random_batch()
    row = (values[..., :1, :] for values in (batch.logits, batch.target, batch.valid))
    column = (values[..., :1, :].transpose(-1, -2) for values in (batch.logits, batch.target, batch.valid))
    loss = cases.loss_of(cases.build(REGISTRY["contour_weighted"]()))
    torch.testing.assert_close(loss(*row, 0).total, loss(*column, 0).total)


def test_boundary_loss_refuses_to_guess_the_number_of_steps():
    with pytest.raises(ValueError, match="number is not known"):
        BoundaryLossConfig().build(BuildContext(cases.skewed_statistics()))
    BoundaryLossConfig(schedule="constant").build(BuildContext(cases.skewed_statistics()))


def test_the_boundary_term_grows_with_the_distance_of_a_false_positive():
    target = torch.zeros(1, 1, 12, dtype=torch.long)
    target[..., :2] = 1
    right = torch.nn.functional.one_hot(target, 2).movedim(-1, 1) * 60.0 - 30.0
    loss = cases.loss_of(cases.build(BoundaryLossConfig(schedule="constant", weight=1.0)))
    costs = []
    for column in (3, 6, 11):
        wrong = right.clone()
        wrong[..., column] = wrong[..., column].flip(1)
        costs.append(loss(wrong, target, torch.ones_like(target, dtype=torch.bool), 0).parts["boundary"].item())
    assert costs[0] < costs[1] < costs[2]
