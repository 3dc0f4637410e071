"""Pixel sizes as files state them: read leniently, used only where a microscope could have such pixels."""

import math
from dataclasses import dataclass
from pathlib import Path

from imbalance_bench.errors import UserError

FINEST_UM, COARSEST_UM = 0.05, 20.0  # an oil objective with a small sensor; a flatbed scanner at 1270 dpi
MAX_ENLARGEMENT = 16.0  # per axis, to the resolution of a model; beyond, an image holds nothing that the model knows


@dataclass(frozen=True)
class PixelSize:
    """Micrometres per pixel along both axes.

    Attributes:
        x_um: Along a row.
        y_um: Along a column.
    """

    x_um: float
    y_um: float

    @property
    def is_plausible(self) -> bool:
        """Whether a microscope could have pixels of this size."""
        return all(FINEST_UM <= size <= COARSEST_UM for size in (self.x_um, self.y_um))

    def __str__(self) -> str:
        """Return "0.5 um per pixel", or "0.5 x 1 um per pixel" (width x height)."""
        if f"{self.x_um:.4g}" == f"{self.y_um:.4g}":
            return f"{self.x_um:.4g} um per pixel"
        return f"{self.x_um:.4g} x {self.y_um:.4g} um per pixel"


def stated_pixel_size(x: object, y: object) -> PixelSize | None:
    """Read the pixel size that a file states; a decimal comma is understood.

    Args:
        x: Micrometres per pixel along a row: a number, text, or None.
        y: Along a column.

    Returns:
        The size, plausible or not; None where one is not a positive finite number.
    """
    x_um, y_um = _number(x), _number(y)
    return None if x_um is None or y_um is None else PixelSize(x_um, y_um)


def require_mpp_option(mpp_um: float | None) -> None:
    """Refuse a resolution given on the command line that no microscope has.

    Raises:
        UserError: It is not finite, or outside the range that is accepted from files, too.
    """
    if mpp_um is not None and not PixelSize(mpp_um, mpp_um).is_plausible:
        raise UserError(f"--mpp must be {FINEST_UM} to {COARSEST_UM:g} um per pixel. Got {mpp_um:g}. Correct it.")


def require_bounded_enlargement(path: Path, size: PixelSize, wanted_um: float) -> None:
    """Refuse to enlarge an image to a resolution far beyond its own.

    Raises:
        UserError: Its pixels are more than 16 times as large as the ones wanted.
    """
    if max(size.x_um, size.y_um) > MAX_ENLARGEMENT * wanted_um:
        raise UserError(
            f"{path} must have pixels of at most {MAX_ENLARGEMENT * wanted_um:.4g} um for a model that sees "
            f"{wanted_um:.4g} um per pixel. Got {size}. Give the true size with --mpp, or a sharper image."
        )


def _number(value: object) -> float | None:
    if not isinstance(value, int | float | str):
        return None
    try:
        number = float(value.strip().replace(",", ".") if isinstance(value, str) else value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None
