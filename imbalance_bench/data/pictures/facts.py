"""What a picture file holds, in the words that a message uses."""

from dataclasses import dataclass

GREY, WHITE_IS_ZERO, RGB, PALETTE = "grey", "white-is-zero grey", "RGB", "palette"


@dataclass(frozen=True)
class PictureFacts:
    """Everything that decides how the samples of a file must be read.

    Attributes:
        file_format: PNG, JPEG, WEBP, BMP, GIF or TIFF, by content and not by name.
        height_px: Rows of the picture as it is shown, that is after turning it as `orientation` says.
        width_px: Columns, likewise.
        colour: GREY, WHITE_IS_ZERO, RGB, PALETTE, or the name of an interpretation that is not read (CMYK, YCbCr ...).
        bits: Bits per sample.
        sample: unsigned, signed, float or complex.
        alpha: Whether some pixels may be transparent; the last channel of the samples, but for palettes.
        extra_channels: Channels of no declared meaning.
        pictures: Pages, frames or planes; the levels of a pyramid are one picture.
        orientation: EXIF / TIFF orientation, 1 (upright) to 8.
        tiled: Whether windows can be decoded without the rest.
        planar: Whether each channel is stored apart.
    """

    file_format: str
    height_px: int
    width_px: int
    colour: str
    bits: int
    sample: str = "unsigned"
    alpha: bool = False
    extra_channels: int = 0
    pictures: int = 1
    orientation: int = 1
    tiled: bool = False
    planar: bool = False

    def __str__(self) -> str:
        """Describe the file: "16-bit RGB with alpha", "3 pictures of 8-bit grey", "8-bit RGB, orientation 6"."""
        kind = "" if self.sample == "unsigned" else f"{self.sample} "
        text = f"{self.bits}-bit {kind}{self.colour}"
        if self.alpha:
            text += " with alpha"
        if self.extra_channels:
            text += f" with {self.extra_channels} more channel{'s' * (self.extra_channels > 1)}"
        if self.pictures > 1:
            text = f"{self.pictures} pictures of {text}"
        if self.planar:
            text += ", each channel stored apart (planar)"
        if self.orientation != 1:
            text += f", orientation {self.orientation}"
        return text

    @property
    def is_plain_rgb(self) -> bool:
        """Whether the samples are 8-bit RGB, (H, W, 3), with nothing to resolve, drop or turn."""
        return (self.colour, self.bits, self.sample) == (RGB, 8, "unsigned") and not (
            self.alpha or self.extra_channels or self.pictures > 1 or self.orientation != 1 or self.planar
        )
