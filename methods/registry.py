"""The built-in methods by name. A configuration is imported when it is asked for, and torch when it first computes.

That is why the table holds places instead of classes: a study file reads the files of its own methods alone.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module

from methods.config import MethodConfig


class Registry(Mapping[str, type[MethodConfig]]):
    """Name -> configuration, in the order of the catalogue.

    Args:
        places: Name -> "module:class" within this package.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> type[MethodConfig]:
        """Import the configuration of a method."""
        module, _, config = self._places[name].partition(":")
        return vars(import_module(f"methods.{module}"))[config]

    def __iter__(self) -> Iterator[str]:
        """Go over the names; nothing is imported."""
        return iter(self._places)

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        """Say whether a name is taken; nothing is imported."""
        return name in self._places


REGISTRY = Registry(
    {
        "cross_entropy": "cross_entropy:CrossEntropyConfig",
        "inverse_frequency": "reweighting:InverseFrequencyConfig",
        "inverse_sqrt": "reweighting:InverseSqrtConfig",
        "median_frequency": "reweighting:MedianFrequencyConfig",
        "enet": "reweighting:EnetConfig",
        "effective_number": "reweighting:EffectiveNumberConfig",
        "focal": "focal:FocalConfig",
        "class_balanced_focal": "focal:ClassBalancedFocalConfig",
        "adaptive_focal": "focal:AdaptiveFocalConfig",
        "asymmetric_focal": "asymmetric:AsymmetricFocalConfig",
        "ohem": "pixel_difficulty:OhemConfig",
        "topk": "pixel_difficulty:TopKConfig",
        "ghm_c": "pixel_difficulty:GhmConfig",
        "poly1": "pixel_difficulty:Poly1Config",
        "dice": "overlap:DiceConfig",
        "generalised_dice": "overlap:GeneralisedDiceConfig",
        "tversky": "overlap:TverskyConfig",
        "focal_tversky": "overlap:FocalTverskyConfig",
        "pm_dice": "modulated_dice:ModulatedDiceConfig",
        "adaptive_tvmf_dice": "modulated_dice:AdaptiveTvmfConfig",
        "compound": "weighted_sum:CompoundConfig",
        "combo": "compound:ComboConfig",
        "unified_focal": "compound:UnifiedFocalConfig",
        "exponential_logarithmic": "compound:ExponentialLogarithmicConfig",
        "lovasz_softmax": "overlap:LovaszSoftmaxConfig",
        "label_marginal_l1": "compound:LabelMarginalL1Config",
        "boundary_loss": "boundary:BoundaryLossConfig",
        "contour_weighted": "boundary:ContourWeightedConfig",
        "blob_loss": "instances:BlobConfig",
        "cc_loss": "instances:ConnectedComponentConfig",
        "rmi": "region_information:RegionInformationConfig",
        "ldam_drw": "ldam:LdamDrwConfig",
        "logit_adjustment": "logits:LogitAdjustmentConfig",
        "balanced_softmax": "logits:BalancedSoftmaxConfig",
        "vs_loss": "logit_scaling:VsLossConfig",
        "cdt": "logit_scaling:CdtConfig",
        "blv": "logit_variation:BlvConfig",
        "asymmetric_margin": "asymmetric:AsymmetricMarginConfig",
        "seesaw": "logits:SeesawConfig",
        "equalization_v2": "equalization:EqualizationV2Config",
        "cdb": "cdb:CdbConfig",
        "diffdw": "estimators:DiffDwConfig",
        "distdw": "estimators:DistDwConfig",
        "recall_loss": "estimators:RecallLossConfig",
        "two_stage_dice_weights": "estimators:TwoStageDiceWeightsConfig",
        "two_stage_dice_bias": "estimators:TwoStageDiceBiasConfig",
        "learned_difficulty": "learned_difficulty:LearnedDifficultyConfig",
        "repeat_factor": "sampling:RepeatFactorConfig",
        "class_present": "sampling:ClassPresentConfig",
        "class_copy_paste": "copy_paste:ClassCopyPasteConfig",
        "crt": "classifiers:ClassifierRetrainingConfig",
        "rankseg": "decision:RankSegConfig",
        "tau_norm": "classifiers:TauNormConfig",
        "dfa": "dfa:DfaConfig",
        "focal_attention_gate": "attention_gate:FocalAttentionGateConfig",
    }
)


def distinct_methods() -> tuple[str, ...]:
    """Return the names that stand for a method of their own: all but second names (`Card.same_as`)."""
    return tuple(name for name, method in REGISTRY.items() if not method.card.same_as)
