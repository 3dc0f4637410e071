"""Where the regions of a label map are: connected components, and distances to their borders. Computed on the CPU.

A pixel without a label belongs to no region and ends none: a region that touches it has no border there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from methods.late_torch import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ComponentMap:
    """8-connected components of equal labels in a batch.

    Attributes:
        of_pixel: (B, H, W) int64, the component of each pixel, 0..n-1 over the whole batch; n where not valid.
        image: (n,) int64, the image of each component.
        of_class: (n,) int64, its class.
    """

    of_pixel: Tensor
    image: Tensor
    of_class: Tensor

    @property
    def n(self) -> int:
        """Components of the batch."""
        return len(self.image)

    def sums(self, values: Tensor) -> Tensor:
        """Sum the values of each component's pixels, (n,).

        Args:
            values: (B, H, W) float.
        """
        return scatter_sum(values, self.of_pixel, self.n)


def scatter_sum(values: Tensor, index: Tensor, n: int) -> Tensor:
    """Sum values by index, (n,); those whose index is n are left out.

    Args:
        values: Any shape, float.
        index: The same shape, int64 in 0..n.
        n: Number of sums.
    """
    return values.new_zeros(n + 1).index_add(0, index.flatten(), values.flatten())[:n]


def components(target: Tensor, valid: Tensor) -> ComponentMap:
    """Find the components of a batch.

    Args:
        target: (B, H, W) int64 in 0..K-1.
        valid: (B, H, W) bool.
    """
    from skimage.measure import label  # late, as torch

    labels = np.where(valid.cpu().numpy(), target.cpu().numpy(), -1)
    maps, images, classes, begin = [], [], [], 0
    for image, values in enumerate(labels):
        labels_of_image = np.asarray(label(values, background=-1, connectivity=2), dtype=np.int64)  # 0: not valid
        n = int(labels_of_image.max(initial=0))
        of_class = np.zeros(n + 1, dtype=np.int64)
        of_class[labels_of_image] = values
        maps.append(np.where(labels_of_image > 0, labels_of_image - 1 + begin, -1))
        images.append(np.full(n, image))
        classes.append(of_class[1:])
        begin += n
    of_pixel = np.stack(maps)
    of_pixel[of_pixel < 0] = begin
    device = target.device
    image, of_class = (torch.from_numpy(np.concatenate(parts)).long().to(device) for parts in (images, classes))
    return ComponentMap(torch.from_numpy(of_pixel).to(device), image, of_class)


def signed_distances(target: Tensor, valid: Tensor, n_classes: int) -> Tensor:
    """Measure how far each pixel is from each class, negative inside it.

    Outside, the distance to the nearest pixel of the class; inside, one less than the distance to the nearest pixel of
    another class, negated, so that a pixel at the border is at 0. A class that the image lacks, or that covers all of
    its labelled pixels, has no border there: 0 everywhere.

    Args:
        target: (B, H, W) int64 in 0..K-1.
        valid: (B, H, W) bool.
        n_classes: K.

    Returns:
        (B, K, H, W) float32, pixels.
    """
    from scipy.ndimage import distance_transform_edt  # late, as torch

    labels, seen = target.cpu().numpy(), valid.cpu().numpy()
    distances = np.zeros((len(labels), n_classes, *labels.shape[1:]), dtype=np.float32)
    for image, classes in enumerate(labels):
        for c in np.unique(classes[seen[image]]):
            inside, other = (classes == c) & seen[image], (classes != c) & seen[image]
            if other.any():
                away, depth = distance_transform_edt(~inside), distance_transform_edt(~other)
                distances[image, c] = np.where(inside, 1 - np.asarray(depth), np.asarray(away))
    return torch.from_numpy(distances).to(target.device)


def nearest_components(component_map: ComponentMap, n_classes: int) -> Tensor:
    """Assign each pixel, for each class, to the nearest component of this class in its image.

    Args:
        component_map: Of a batch.
        n_classes: K.

    Returns:
        (B, K, H, W) int64: numbers of components; n where the class does not occur in the image.
    """
    from scipy.ndimage import distance_transform_edt  # late, as torch

    of_pixel, of_class = component_map.of_pixel.cpu().numpy(), np.append(component_map.of_class.cpu().numpy(), -1)
    classes = of_class[of_pixel]  # (B, H, W), -1 where not valid
    nearest = np.full((len(classes), n_classes, *classes.shape[1:]), component_map.n, dtype=np.int64)
    for image, labels in enumerate(classes):
        for c in np.unique(labels[labels >= 0]):
            rows, columns = np.asarray(distance_transform_edt(labels != c, return_distances=False, return_indices=True))
            nearest[image, c] = of_pixel[image, rows, columns]
    return torch.from_numpy(nearest).to(component_map.of_pixel.device)
