"""Lengths that the measures use: fixed in micrometres, so that they mean the same at every resolution."""

from dataclasses import dataclass

MPP_WITHOUT_SCALE = 0.25  # um per pixel of a 40x scan; units then say px


@dataclass(frozen=True)
class Scale:
    """The size of a pixel and the lengths that follow from it.

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
        """Convert a length to px; an unknown resolution counts as 0.25 um per pixel."""
        return um / (self.mpp_um or MPP_WITHOUT_SCALE)

    def written(self, um: float) -> str:
        """Return a length as text: "2 um", or "8 px" where the resolution is unknown."""
        return f"{um:g} um" if self.mpp_um else f"{self.px(um):g} px"
