"""Pixel geometry of masks: runs, instances, outlines and distances to borders. No class names, no studies."""
