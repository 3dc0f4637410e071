"""Imbalance methods. `REGISTRY` is the one place where a method gets its name."""

from methods.base import MethodConfig
from methods.cdb import CdbConfig
from methods.cross_entropy import CrossEntropyConfig
from methods.dfa import DfaConfig
from methods.focal import FocalConfig
from methods.reweighting import (
    EffectiveNumberConfig,
    EnetConfig,
    InverseFrequencyConfig,
    InverseSqrtConfig,
    MedianFrequencyConfig,
)

REGISTRY: dict[str, type[MethodConfig]] = {
    "cross_entropy": CrossEntropyConfig,
    "inverse_frequency": InverseFrequencyConfig,
    "inverse_sqrt": InverseSqrtConfig,
    "median_frequency": MedianFrequencyConfig,
    "enet": EnetConfig,
    "effective_number": EffectiveNumberConfig,
    "focal": FocalConfig,
    "cdb": CdbConfig,
    "dfa": DfaConfig,
}
