"""Predicted masks as tools write them: pictures, NIfTI files, and probabilities in NumPy archives."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_bench.data.pictures import open_picture, read_colours, read_labels
from imbalance_bench.decoding import DECODER_ERRORS
from imbalance_bench.errors import UserError
from imbalance_bench.foreign.labels import NO_CLASS, LabelMap
from imbalance_bench.foreign.section import NiftiAxes

NIFTI_SUFFIXES = (".nii", ".nii.gz")
_KEYS = ("probabilities", "softmax")  # of nnU-Net 2 and 1
_ROUNDING = 0.02  # how far the sum of half-precision probabilities may be from 1

# a (H, W) array turned in one of the other ways that tools confuse
TURNS = {
    "its axes swapped": lambda mask: mask.T,
    "its rows reversed": lambda mask: mask[::-1],
    "its columns reversed": lambda mask: mask[:, ::-1],
    "rows and columns reversed": lambda mask: mask[::-1, ::-1],
}


def is_nifti(path: Path) -> bool:
    """Return whether a file's name says that it is NIfTI."""
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def mask_size(path: Path, axes: NiftiAxes) -> tuple[int, int]:
    """Return height and width of a mask without decoding it, px.

    Raises:
        UserError: The file is damaged or of another format.
    """
    if not is_nifti(path):
        with open_picture(path) as picture:
            return picture.facts.height_px, picture.facts.width_px
    first, second = _plane(path, _open_nifti(path).shape)
    return (second, first) if axes == "xy" else (first, second)


def read_classes(path: Path, labels: LabelMap, axes: NiftiAxes) -> np.ndarray:
    """Decode a mask and translate its values.

    Returns:
        (H, W) uint8: 0..K-1, or NO_CLASS.

    Raises:
        UserError: The file is damaged, or holds values that no label names.
    """
    if not is_nifti(path):
        codes = read_colours(path) if labels.table.colours else read_labels(path)
    elif labels.table.colours:
        raise UserError(f"{path} holds values, and the labels are colours. Give values for this method's `labels`.")
    else:
        codes = _nifti_codes(path, axes)
    return labels.table.apply(codes, path)


def read_probabilities(path: Path, labels: LabelMap, n_classes: int, size_px: tuple[int, int]) -> np.ndarray:
    """Read probabilities, summed over the channels of each class.

    Args:
        path: .npz with `probabilities` (as nnU-Net writes) or a single array, or .npy; (C, H, W) or (C, 1, H, W).
        labels: Channel i is the probability of value i.
        n_classes: K.
        size_px: Height and width of the image.

    Returns:
        (K + 1, H, W) float32; the last one is the probability of none of the classes.

    Raises:
        UserError: The file is damaged, of another shape, or holds no probabilities.
    """
    stored = _load(path)
    values = stored[:, 0] if stored.ndim == 4 and stored.shape[1] == 1 else stored
    if values.ndim != 3 or values.shape[1:] != size_px or values.dtype.kind != "f":
        raise UserError(
            f"{path} must hold fractions of shape (channels, {size_px[0]}, {size_px[1]}), the image's height and width."
            f" Got {stored.dtype} of shape {stored.shape}."
        )
    try:
        channels = labels.channels(len(values))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    values = values.astype(np.float32)
    total = values.sum(axis=0)
    wrong = ~((values.min(axis=0) > -_ROUNDING) & (np.abs(total - 1) < _ROUNDING))  # a NaN is wrong, too
    if wrong.any():
        row, column = (int(indices[0]) for indices in np.nonzero(wrong))
        raise UserError(
            f"{path} must hold probabilities, which sum to 1 over channels. Got {float(total[row, column]):.3g} at row "
            f"{row}, column {column}. Save the softmax, not the logits."
        )
    summed = np.zeros((n_classes + 1, *size_px), dtype=np.float32)
    for channel, k in zip(values, channels, strict=True):
        summed[n_classes if k == NO_CLASS else k] += channel.clip(0, 1)
    return summed


def _load(path: Path) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded as archive:
            names = [name for name in _KEYS if name in archive.files] or archive.files
            if len(names) == 1:
                return archive[names[0]]
            arrays = ", ".join(archive.files) or "none"
    except DECODER_ERRORS as error:
        reason = str(error).partition(". ")[0]  # NumPy goes on to recommend unsafe loading
        raise UserError(f"{path} must be a NumPy file of probabilities. Got: {reason}. Write it again.") from None
    raise UserError(f"{path} must hold one array called probabilities. Got {arrays}.")


def _open_nifti(path: Path) -> Any:
    try:
        import nibabel  # an optional extra
        from nibabel.filebasedimages import ImageFileError
        from nibabel.spatialimages import HeaderDataError
    except ImportError:
        raise UserError(
            f"{path} is NIfTI, which needs nibabel. Install it: pip install 'imbalance-bench[nifti]'."
        ) from None
    try:
        return nibabel.load(path)
    except (*DECODER_ERRORS, ImageFileError, HeaderDataError) as error:
        raise UserError(f"{path} must be a NIfTI file. Got: {error}. Write it again.") from None


def _plane(path: Path, shape: Sequence[int]) -> tuple[int, int]:
    """Return the two axes of a single picture."""
    if len(shape) < 2 or any(length != 1 for length in shape[2:]):
        raise UserError(f"{path} must hold one picture, of shape (x, y) or (x, y, 1). Got {tuple(shape)}.")
    return int(shape[0]), int(shape[1])


def _nifti_codes(path: Path, axes: NiftiAxes) -> np.ndarray:
    """Return the values, (H, W) integers; the affine, which pictures do not have, is not looked at."""
    image = _open_nifti(path)
    plane = _plane(path, image.shape)
    try:
        values = np.asanyarray(image.dataobj).reshape(plane)
    except DECODER_ERRORS as error:
        raise UserError(f"{path} must be a complete NIfTI file. Got: {error}. Write it again.") from None
    if values.dtype.kind == "f":
        odd = ~(np.abs(values) < 2**53) | (values != np.floor(values))  # a NaN is odd, too
        if odd.any():
            raise UserError(f"{path} must hold whole numbers as labels. Got {float(values[odd][0])}.")
        values = values.astype(np.int64)
    if values.dtype.kind not in "iu":
        raise UserError(f"{path} must hold whole numbers as labels. Got {values.dtype}.")
    return np.ascontiguousarray(values.T if axes == "xy" else values)
