"""Imbalance methods. `REGISTRY` is the one place where a method gets its name."""

from methods.asymmetric import AsymmetricFocalConfig, AsymmetricMarginConfig
from methods.attention_gate import FocalAttentionGateConfig
from methods.base import MethodConfig
from methods.boundary import BoundaryLossConfig, ContourWeightedConfig
from methods.cdb import CdbConfig
from methods.classifiers import ClassifierRetrainingConfig, TauNormConfig
from methods.compound import ComboConfig, ExponentialLogarithmicConfig, LabelMarginalL1Config, UnifiedFocalConfig
from methods.copy_paste import ClassCopyPasteConfig
from methods.cross_entropy import CrossEntropyConfig
from methods.decision import RankSegConfig
from methods.dfa import DfaConfig
from methods.equalization import EqualizationV2Config
from methods.estimators import (
    DiffDwConfig,
    DistDwConfig,
    RecallLossConfig,
    TwoStageDiceBiasConfig,
    TwoStageDiceWeightsConfig,
)
from methods.focal import AdaptiveFocalConfig, ClassBalancedFocalConfig, FocalConfig
from methods.instances import BlobConfig, ConnectedComponentConfig
from methods.ldam import LdamDrwConfig
from methods.learned_difficulty import LearnedDifficultyConfig
from methods.logit_scaling import CdtConfig, VsLossConfig
from methods.logit_variation import BlvConfig
from methods.logits import BalancedSoftmaxConfig, LogitAdjustmentConfig, SeesawConfig
from methods.modulated_dice import AdaptiveTvmfConfig, ModulatedDiceConfig
from methods.overlap import (
    DiceConfig,
    FocalTverskyConfig,
    GeneralisedDiceConfig,
    LovaszSoftmaxConfig,
    TverskyConfig,
)
from methods.pixel_difficulty import GhmConfig, OhemConfig, Poly1Config, TopKConfig
from methods.region_information import RegionInformationConfig
from methods.reweighting import (
    EffectiveNumberConfig,
    EnetConfig,
    InverseFrequencyConfig,
    InverseSqrtConfig,
    MedianFrequencyConfig,
)
from methods.sampling import ClassPresentConfig, RepeatFactorConfig
from methods.weighted_sum import CompoundConfig

REGISTRY: dict[str, type[MethodConfig]] = {
    "cross_entropy": CrossEntropyConfig,
    "inverse_frequency": InverseFrequencyConfig,
    "inverse_sqrt": InverseSqrtConfig,
    "median_frequency": MedianFrequencyConfig,
    "enet": EnetConfig,
    "effective_number": EffectiveNumberConfig,
    "focal": FocalConfig,
    "class_balanced_focal": ClassBalancedFocalConfig,
    "adaptive_focal": AdaptiveFocalConfig,
    "asymmetric_focal": AsymmetricFocalConfig,
    "ohem": OhemConfig,
    "topk": TopKConfig,
    "ghm_c": GhmConfig,
    "poly1": Poly1Config,
    "dice": DiceConfig,
    "generalised_dice": GeneralisedDiceConfig,
    "tversky": TverskyConfig,
    "focal_tversky": FocalTverskyConfig,
    "pm_dice": ModulatedDiceConfig,
    "adaptive_tvmf_dice": AdaptiveTvmfConfig,
    "compound": CompoundConfig,
    "combo": ComboConfig,
    "unified_focal": UnifiedFocalConfig,
    "exponential_logarithmic": ExponentialLogarithmicConfig,
    "lovasz_softmax": LovaszSoftmaxConfig,
    "label_marginal_l1": LabelMarginalL1Config,
    "boundary_loss": BoundaryLossConfig,
    "contour_weighted": ContourWeightedConfig,
    "blob_loss": BlobConfig,
    "cc_loss": ConnectedComponentConfig,
    "rmi": RegionInformationConfig,
    "ldam_drw": LdamDrwConfig,
    "logit_adjustment": LogitAdjustmentConfig,
    "balanced_softmax": BalancedSoftmaxConfig,
    "vs_loss": VsLossConfig,
    "cdt": CdtConfig,
    "blv": BlvConfig,
    "asymmetric_margin": AsymmetricMarginConfig,
    "seesaw": SeesawConfig,
    "equalization_v2": EqualizationV2Config,
    "cdb": CdbConfig,
    "diffdw": DiffDwConfig,
    "distdw": DistDwConfig,
    "recall_loss": RecallLossConfig,
    "two_stage_dice_weights": TwoStageDiceWeightsConfig,
    "two_stage_dice_bias": TwoStageDiceBiasConfig,
    "learned_difficulty": LearnedDifficultyConfig,
    "repeat_factor": RepeatFactorConfig,
    "class_present": ClassPresentConfig,
    "class_copy_paste": ClassCopyPasteConfig,
    "crt": ClassifierRetrainingConfig,
    "rankseg": RankSegConfig,
    "tau_norm": TauNormConfig,
    "dfa": DfaConfig,
    "focal_attention_gate": FocalAttentionGateConfig,
}


def distinct_methods() -> tuple[str, ...]:
    """Return the names that stand for a method of their own: all but second names (`Card.same_as`)."""
    return tuple(name for name, method in REGISTRY.items() if not method.card.same_as)
