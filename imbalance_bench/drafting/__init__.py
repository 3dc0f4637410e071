"""From a folder of images and masks, or a prepared data set, to a layout and a study file that run unchanged."""
