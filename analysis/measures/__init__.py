"""Class difficulty from training images and truth alone. The primary measure of each construct is fixed here."""

PRIMARY = {
    "frequency": "pixel_share",
    "boundary": "border_stain_overlap",
    "morphology": "shape_dispersion",
    "context": "nearest_rival_overlap",
}
CONSTRUCTS = tuple(PRIMARY)
