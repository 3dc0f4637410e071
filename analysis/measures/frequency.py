"""How much of each class there is, under weights of groups."""

import numpy as np


def pixel_share(weights: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return the share of the labelled pixels, (B, K), NaN for a class without any.

    Args:
        weights: (B, G) float, how often each group is taken.
        pixels: (G, K) int.
    """
    total = weights @ pixels
    return _ratio(total, total.sum(axis=1, keepdims=True))


def image_share(weights: np.ndarray, images: np.ndarray, n_images: np.ndarray) -> np.ndarray:
    """Return the share of the images that hold the class, (B, K); images (G, K) hold it, n_images (G,) there are."""
    return _ratio(weights @ images, (weights @ n_images)[:, None])


def group_share(weights: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the share of the groups that hold the class, (B, K)."""
    return _ratio(weights @ (images > 0), weights.sum(axis=1, keepdims=True))


def components_per_image(weights: np.ndarray, components: np.ndarray, n_images: np.ndarray) -> np.ndarray:
    """Return connected components per image, (B, K), over all images."""
    return _ratio(weights @ components, (weights @ n_images)[:, None])


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(part > 0, part / np.maximum(whole, 1), np.nan)
