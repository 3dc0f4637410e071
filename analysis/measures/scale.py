"""Lengths of the measures: fixed in micrometres, so that they mean the same at every resolution."""

from dataclasses import dataclass

MPP_WITHOUT_SCALE = 0.25  # lengths are then those of a 40x scan, and units say px


@dataclass(frozen=True)
class Scale:
    """How long a pixel is.

    Args:
        mpp_um: Micrometres per pixel, or None where unknown.
        band_um: Width of the border band on each side, um.
    """

    mpp_um: float | None
    band_um: float

    @property
    def pixel(self) -> float:
        """Edge of a pixel in `length_unit`."""
        return 1.0 if self.mpp_um is None else self.mpp_um

    @property
    def length_unit(self) -> str:
        """Unit of lengths."""
        return "px" if self.mpp_um is None else "um"

    @property
    def band_px(self) -> float:
        """Width of the border band, px."""
        return self.px(self.band_um)

    def px(self, um: float) -> float:
        """Return a length in px; where um per pixel are unknown, as if they were 0.25."""
        return um / (self.mpp_um or MPP_WITHOUT_SCALE)

    def written(self, um: float) -> str:
        """Write a length for people: "2 um", or "8 px" where um per pixel are unknown."""
        return f"{um:g} um" if self.mpp_um else f"{self.px(um):g} px"
