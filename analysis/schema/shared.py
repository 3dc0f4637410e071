"""Columns that several tables share."""

from analysis.schema.column import integer, number, text

RUN = {"method": text("label of the method"), "fold": integer("fold, from 0"), "seed": integer("seed of the run")}
CLASS = {"class_id": integer("class index after merging, from 0"), "class": text("class name")}
INTERVAL = {"low": number("lower end of the 95 % interval"), "high": number("upper end of the 95 % interval")}
