"""A finished run applied to new images: masks, overlays, areas and outlines."""
