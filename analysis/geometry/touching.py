"""Convex instances of one class that touch: taken apart at their necks, as their number must not make their shapes.

The more instances of a class an image holds, the more of them touch, and a class mask shows those as one component. A
component is taken apart where it is not convex and its parts are; an irregular region has no convex parts and stays.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt, find_objects, label

from analysis.geometry.hulls import pixel_hull_areas
from analysis.geometry.instances import instance_shapes
from analysis.geometry.runs import Runs, label_runs

CONVEX = 0.9  # area over that of the convex hull, of the parts together; below, of what is taken apart
NECKS = (0.7, 0.5, 0.35)  # depths at which parts must be apart, over that of the deepest point
_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Instances:
    """The whole instances of an image; N of them.

    Args:
        components: (H, W) int32, numbers from 1; 0 where there is no whole instance.
        numbers: (N,) ascending.
        shapes: One row for each number, as of `instance_shapes`.
    """

    components: np.ndarray
    numbers: np.ndarray
    shapes: pd.DataFrame


def find_instances(runs: Runs, whole: np.ndarray, smallest_px: float) -> Instances:
    """Measure the whole instances of an image, those that touch apart.

    Args:
        runs: Of the mask.
        whole: (n + 1,) bool of `whole_instances`.
        smallest_px: Area below which a part is none.
    """
    n = len(whole)
    components = runs.image(np.where(whole, np.arange(n, dtype=np.int32), 0))
    kept = whole[runs.component]
    area = np.bincount(runs.component, runs.length, minlength=n)
    hull = pixel_hull_areas(runs.row[kept], runs.start[kept], runs.stop[kept], runs.component[kept], n)
    concave = whole & (area < CONVEX * hull) & (area >= 2 * smallest_px)
    parts, whose = convex_parts(components, np.flatnonzero(concave))
    if len(whose) > 1:
        apart = np.isin(np.arange(n), whose[1:])
        components = np.where(apart[components], np.where(parts > 0, n - 1 + parts, 0), components)
        runs = label_runs(components, np.append(runs.class_of, runs.class_of[whose[1:]]))
        whole = np.bincount(runs.component, runs.length, minlength=n + len(whose) - 1) >= smallest_px
        components = np.where(whole, np.arange(len(whole), dtype=np.int32), 0)[components]
    return Instances(components, np.flatnonzero(whole), instance_shapes(runs, components, whole))


def convex_parts(components: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take components apart into convex parts.

    Args:
        components: (H, W) int, component numbers.
        numbers: The components to look at.

    Returns:
        (H, W) int32, parts from 1 in the components that were taken apart, 0 elsewhere; and the component of each
        part, (P + 1,) int64 with 0 first.
    """
    parts, whose = np.zeros(components.shape, np.int32), [0]
    boxes = find_objects(components)
    for number in numbers:
        box = tuple(slice(each.start - 1, each.stop + 1) for each in boxes[number - 1])  # it touches no edge
        found, n = _at_necks(components[box] == number)
        if n > 1:
            parts[box][found > 0] = found[found > 0] + len(whose) - 1
            whose += [int(number)] * n
    owner = np.array(whose)
    if len(owner) == 1:
        return parts, owner
    runs = label_runs(parts, np.zeros(len(owner), np.int64))
    area = np.bincount(runs.component, runs.length, minlength=len(owner))
    hull = pixel_hull_areas(runs.row, runs.start, runs.stop, runs.component, len(owner))
    kept = (np.bincount(owner, area) >= CONVEX * np.bincount(owner, hull))[owner]
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)[parts], np.append(0, owner[kept])


def _at_necks(own: np.ndarray) -> tuple[np.ndarray, int]:
    """Divide a component (h, w) bool, with a rim of nothing, among its seeds: part numbers from 1, and how many."""
    depth = np.asarray(distance_transform_edt(own))
    seeds, n = np.zeros(own.shape, np.int32), 0
    for neck in NECKS:
        found, many = _labelled(depth > neck * depth.max())
        new = np.ones(many + 1, bool)
        new[found[seeds > 0]] = False  # has a seed from nearer its middle
        new[0] = False
        seeds = np.where(new[found], (n + np.cumsum(new))[found], seeds)
        n += int(new.sum())
    if n < 2:
        return seeds, n
    row, column = np.asarray(distance_transform_edt(seeds == 0, return_distances=False, return_indices=True))
    divided = np.where(own, seeds[row, column], 0)
    for part in range(1, n + 1):
        pieces, many = _labelled(divided == part)
        if many > 1:  # a crumb beyond another part
            largest = 1 + np.argmax(np.bincount(pieces.ravel())[1:])
            divided[(pieces > 0) & (pieces != largest)] = 0
    return divided, n


def _labelled(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the 8-connected components of a mask from 1, and count them."""
    labels, n = label(mask, _EIGHT)  # pyright: ignore[reportGeneralTypeIssues] - two values without `output`
    return np.asarray(labels), int(n)
