"""Converters into the prepared format, one file each; `REGISTRY` is the literal list."""

from imbalance_bench.data.converters import bcss, bdsa, consep, crag, folder, glas, pannuke, sampath
from imbalance_bench.data.converters.source import Converter

REGISTRY: dict[str, Converter] = {
    "folder": folder.CONVERTER,
    "sampath": sampath.CONVERTER,
    "bcss": bcss.CONVERTER,
    "crag": crag.CONVERTER,
    "glas": glas.CONVERTER,
    "consep": consep.CONVERTER,
    "bdsa": bdsa.CONVERTER,
    "pannuke": pannuke.CONVERTER,
}
