"""Columns that several tables share."""

RUN = {"method": "label of the method", "fold": "fold, from 0", "seed": "seed of the run"}
CLASS = {"class_id": "class index after merging, from 0", "class": "class name"}
INTERVAL = {"low": "lower end of the 95 % interval", "high": "upper end of the 95 % interval"}
