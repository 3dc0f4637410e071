"""What callers read: images, masks of codes, masks of colours, masks of class ids. Right, or refused."""

from pathlib import Path

import numpy as np

from imbalance_bench.data.pictures.facts import GREY, PALETTE, RGB, WHITE_IS_ZERO, PictureFacts
from imbalance_bench.data.pictures.opening import open_picture
from imbalance_bench.data.pictures.picture import Picture
from imbalance_bench.errors import UserError

_SHOWN_COLOURS = (RGB, GREY, WHITE_IS_ZERO, PALETTE)
_BAND = 1024  # rows handled at a time, so that temporary arrays stay small


def read_rgb(path: Path) -> np.ndarray:
    """Decode an image as it is shown; an opaque alpha channel is dropped.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        UserError: The file is damaged, or is not one opaque 8-bit picture in RGB, grey or a palette.
    """
    with open_picture(path) as picture:
        return decode_rgb(picture)


def decode_rgb(picture: Picture) -> np.ndarray:
    """Decode an opened image as `read_rgb` does."""
    require_image(picture.path, picture.facts)
    return _shown(picture)


def read_labels(path: Path) -> np.ndarray:
    """Decode a mask of codes as they are stored: one channel, or three equal ones; the indices of a palette.

    Returns:
        (H, W) integers.

    Raises:
        UserError: The file is damaged, or holds colours, fractions, several pictures or transparent pixels.
    """
    with open_picture(path) as picture:
        facts = picture.facts
        _require_single(path, facts, "mask")
        if facts.colour == WHITE_IS_ZERO:
            raise _refused(path, "a mask whose codes are stored as they are", facts, "Save it with black as 0.")
        if facts.colour not in (GREY, PALETTE, RGB) or facts.extra_channels or facts.sample == "complex":
            raise _refused(path, "a mask of codes", facts, "Save the codes in one grey channel.")
        codes = _opaque(picture, picture.samples())
    if codes.ndim == 3:
        for rows in _bands(codes):
            if (rows != rows[..., :1]).any():
                raise UserError(f"{path} must hold codes in one channel. Got colours. Map colours ('#rrggbb') instead.")
        codes = np.ascontiguousarray(codes[..., 0])
    return _integers(path, codes) if codes.dtype.kind == "f" else codes


def read_colours(path: Path) -> np.ndarray:
    """Decode a mask of colours as it is shown; a palette is resolved.

    Returns:
        (H, W) int32, 0xrrggbb.

    Raises:
        UserError: The file is damaged, or is not one opaque picture of at most 8 bits in RGB, grey or a palette.
    """
    with open_picture(path) as picture:
        _require_shown(path, picture.facts, "a mask of 8-bit colours", "Save it as 8-bit RGB PNG.")
        shown = _shown(picture)
    codes = np.empty(shown.shape[:2], dtype=np.int32)
    for rows, pixels in zip(_bands(codes), _bands(shown), strict=True):
        red, green, blue = np.moveaxis(pixels.astype(np.int32), -1, 0)
        rows[:] = (red << 16) | (green << 8) | blue
    return codes


def read_class_ids(path: Path) -> np.ndarray:
    """Decode a mask of class ids, as prepared data sets and runs hold it.

    Returns:
        (H, W) uint8; the indices of a palette.

    Raises:
        UserError: The file is damaged, or is not one channel of at most 8 bits.
    """
    with open_picture(path) as picture:
        require_prepared_mask(path, picture.facts)
        return picture.samples()


def require_image(path: Path, facts: PictureFacts) -> None:
    """Refuse what `read_rgb` does not take, before anything is decoded; transparency shows only afterwards.

    Raises:
        UserError: It is not one 8-bit picture in RGB, grey or a palette.
    """
    fix = "Convert it to 8-bit RGB."
    if facts.bits > 8 and facts.sample == "unsigned":
        fix = "Scale its values to 0..255 and save it as 8-bit RGB; a file of 16 bits often holds 10, 12 or 14."
    wanted = "an 8-bit RGB, grey or palette image"
    _require_shown(path, facts, wanted, fix)
    if facts.bits != 8 and facts.colour != PALETTE:
        raise _refused(path, wanted, facts, fix)


def require_prepared_image(path: Path, facts: PictureFacts) -> None:
    """Refuse an image that a prepared data set must not hold.

    Raises:
        UserError: It is not plain 8-bit RGB.
    """
    if not facts.is_plain_rgb:
        raise _refused(path, "an upright 8-bit RGB image", facts, "Convert it to 8-bit RGB.")


def require_prepared_mask(path: Path, facts: PictureFacts) -> None:
    """Refuse a mask that a prepared data set must not hold.

    Raises:
        UserError: It is not one upright channel of at most 8 bits.
    """
    one_channel = facts.colour == PALETTE or (facts.colour == GREY and not facts.alpha)
    plain = facts.sample == "unsigned" and facts.bits <= 8 and not facts.extra_channels
    if not (one_channel and plain and facts.pictures == 1 and facts.orientation == 1):
        wanted = "one upright channel of 8-bit class ids"
        raise _refused(path, wanted, facts, "Save one 8-bit channel of class ids (greyscale or palette).")


def _require_single(path: Path, facts: PictureFacts, noun: str) -> None:
    if facts.pictures > 1:
        fix = f"Save the {noun} that is meant as a file of its own."
        raise UserError(f"{path} must hold one picture. Got {facts}. {fix}")


def _require_shown(path: Path, facts: PictureFacts, wanted: str, fix: str) -> None:
    _require_single(path, facts, "one")
    if facts.colour not in _SHOWN_COLOURS or facts.bits > 8 or facts.sample != "unsigned" or facts.extra_channels:
        raise _refused(path, wanted, facts, fix)


def _refused(path: Path, wanted: str, facts: PictureFacts, fix: str) -> UserError:
    return UserError(f"{path} must be {wanted}. Got {facts.file_format}, {facts}. {fix}")


def _shown(picture: Picture) -> np.ndarray:
    """Return (H, W, 3) uint8 of an opaque picture of at most 8 bits."""
    facts, samples = picture.facts, picture.samples()
    if facts.colour == PALETTE:
        palette = picture.palette()
        used = np.flatnonzero(np.bincount(samples.ravel(), minlength=len(palette)))
        if used[-1] >= len(palette):
            raise UserError(f"{picture.path} must use the {len(palette)} colours of its palette. Got index {used[-1]}.")
        hidden = used[palette[used, 3] != 255]
        if hidden.size:
            raise _transparent(picture, np.isin(samples, hidden))
        return palette[:, :3][samples]
    samples = _opaque(picture, samples)
    if samples.ndim == 3:
        return samples
    grey = samples * np.uint8(255 // (2**facts.bits - 1)) if facts.bits < 8 else samples
    if facts.colour == WHITE_IS_ZERO:
        grey = 255 - grey
    return np.repeat(grey[..., None], 3, axis=2)


def _opaque(picture: Picture, samples: np.ndarray) -> np.ndarray:
    """Return samples without their alpha channel.

    Raises:
        UserError: A pixel is transparent.
    """
    facts = picture.facts
    if not facts.alpha or facts.colour == PALETTE:  # an index is a code, whatever its colour
        return samples
    full = 2**facts.bits - 1
    hidden = samples[..., -1] != full
    if hidden.any():
        raise _transparent(picture, hidden)
    colours = samples[..., :-1]
    return np.ascontiguousarray(colours[..., 0] if colours.shape[2] == 1 else colours)


def _transparent(picture: Picture, hidden: np.ndarray) -> UserError:
    row, column = (int(index) for index in np.unravel_index(hidden.argmax(), hidden.shape))
    return UserError(
        f"{picture.path} must be opaque. Got {int(hidden.sum())} of {hidden.size} pixels that are transparent, first "
        f"at row {row}, column {column}: what they show depends on the program. Flatten it onto a background, or "
        "save it without alpha."
    )


def _integers(path: Path, codes: np.ndarray) -> np.ndarray:
    """Return floats that are all whole numbers as int64."""
    whole = np.empty(codes.shape, dtype=np.int64)
    for rows, values in zip(_bands(whole), _bands(codes), strict=True):
        odd = ~(np.abs(values) < 2**53) | (values != np.floor(values))
        if odd.any():
            raise UserError(
                f"{path} must hold whole numbers as codes. Got {values[odd][0]}. Save the labels themselves."
            )
        rows[:] = values
    return whole


def _bands(array: np.ndarray) -> list[np.ndarray]:
    return [array[top : top + _BAND] for top in range(0, len(array), _BAND)]
