"""Separation of touching convex instances of one class at their necks.

The more instances of a class an image contains, the more of them touch, and a class mask shows those as one component:
without separation, the shape of a class would depend on its frequency. A component is split where it is not convex and
its parts are; an irregular region has no convex parts and stays whole.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt, find_objects, label

from analysis.geometry.hulls import pixel_hull_areas
from analysis.geometry.instances import instance_shapes
from analysis.geometry.runs import Runs, label_runs

CONVEX = 0.9  # solidity: the parts together must reach it, and only components below it are split
NECKS = (0.7, 0.5, 0.35)  # depths at which parts must be separate, as shares of the greatest depth
_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Instances:
    """The whole instances of an image; N of them.

    Args:
        components: (H, W) int32, numbers from 1; 0 where there is no whole instance.
        numbers: (N,) ascending.
        shapes: One row for each number, from `instance_shapes`.
    """

    components: np.ndarray
    numbers: np.ndarray
    shapes: pd.DataFrame


def find_instances(runs: Runs, whole: np.ndarray, smallest_px: float) -> Instances:
    """Measure the whole instances of an image after separating those that touch.

    Args:
        runs: Runs of the mask.
        whole: (n + 1,) bool, from `whole_instances`.
        smallest_px: Smallest area of an instance, px.
    """
    n = len(whole)
    components = runs.image(np.where(whole, np.arange(n, dtype=np.int32), 0))
    in_whole = whole[runs.component]
    area = np.bincount(runs.component, runs.length, minlength=n)
    hull = pixel_hull_areas(runs.row[in_whole], runs.start[in_whole], runs.stop[in_whole], runs.component[in_whole], n)
    concave = whole & (area < CONVEX * hull) & (area >= 2 * smallest_px)
    parts, owner = convex_parts(components, np.flatnonzero(concave))
    if len(owner) > 1:
        apart = np.isin(np.arange(n), owner[1:])
        split = apart[components]
        part = parts[split]
        components[split] = np.where(part > 0, n - 1 + part, 0)
        runs = label_runs(components, np.append(runs.class_of, runs.class_of[owner[1:]]))
        whole = np.bincount(runs.component, runs.length, minlength=n + len(owner) - 1) >= smallest_px
        components = np.where(whole, np.arange(len(whole), dtype=np.int32), 0)[components]
    return Instances(components, np.flatnonzero(whole), instance_shapes(runs, components, whole))


def convex_parts(components: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split components into convex parts.

    Args:
        components: (H, W) int, component numbers.
        numbers: The components to try.

    Returns:
        (H, W) int32, parts from 1 in the components that were split, 0 elsewhere; and the component of each part,
        (P + 1,) int64 with 0 first.
    """
    parts, owners = np.zeros(components.shape, np.int32), [0]
    boxes = find_objects(components)
    for number in numbers:
        box = tuple(slice(side.start - 1, side.stop + 1) for side in boxes[number - 1])  # it touches no edge
        pieces, n = _at_necks(components[box] == number)
        if n > 1:
            parts[box][pieces > 0] = pieces[pieces > 0] + len(owners) - 1
            owners += [int(number)] * n
    owner = np.array(owners)
    if len(owner) == 1:
        return parts, owner
    runs = label_runs(parts, np.zeros(len(owner), np.int64))
    area = np.bincount(runs.component, runs.length, minlength=len(owner))
    hull = pixel_hull_areas(runs.row, runs.start, runs.stop, runs.component, len(owner))
    convex = (np.bincount(owner, area) >= CONVEX * np.bincount(owner, hull))[owner]
    convex[0] = False
    return np.where(convex, np.cumsum(convex), 0).astype(np.int32)[parts], np.append(0, owner[convex])


def _at_necks(own: np.ndarray) -> tuple[np.ndarray, int]:
    """Divide a component (h, w) bool, with an empty rim, among its seeds: part numbers from 1, and their number."""
    depth = np.asarray(distance_transform_edt(own))
    seeds, n = np.zeros(own.shape, np.int32), 0
    for neck in NECKS:
        labels, count = _labelled(depth > neck * depth.max())
        new = np.ones(count + 1, bool)
        new[labels[seeds > 0]] = False  # contains a seed from a deeper level
        new[0] = False
        seeds = np.where(new[labels], (n + np.cumsum(new))[labels], seeds)
        n += int(new.sum())
    if n < 2:
        return seeds, n
    row, column = np.asarray(distance_transform_edt(seeds == 0, return_distances=False, return_indices=True))
    divided = np.where(own, seeds[row, column], 0)
    for part in range(1, n + 1):
        pieces, count = _labelled(divided == part)
        if count > 1:  # a fragment behind another part
            largest = 1 + np.argmax(np.bincount(pieces.ravel())[1:])
            divided[(pieces > 0) & (pieces != largest)] = 0
    return divided, n


def _labelled(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the 8-connected components of a mask from 1, and count them."""
    labels, n = label(mask, _EIGHT)  # pyright: ignore[reportGeneralTypeIssues] - two values without `output`
    return np.asarray(labels), int(n)
