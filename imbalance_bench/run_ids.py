"""Which id a run has: a hash of everything in a study that can change its result, and of nothing else.

What files and libraries make of it - versions, the normalisation of an encoder, published weights - is known only where
a run is trained: its manifest records that, and a plan refuses to mix encoders that were resolved differently.

Labels are names for people: a method or a model may be renamed, and its runs stay its runs. A run that a plan holds
keeps the id that it was planned under, also where an older version hashed other things.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from imbalance_bench.manifest import canonical_hash


def without_label(method: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a resolved method can change the result of a run."""
    return {key: value for key, value in method.items() if key != "label"}


def of_fold(method: Mapping[str, Any], fold: int) -> Mapping[str, Any]:
    """Return what a resolved method trains in one fold; nothing where its settings by fold lack that fold."""
    if "by_fold" not in method:
        return method
    settings = method["by_fold"]
    return settings[fold] if 0 <= fold < len(settings) else {}


def models_of(plan: Mapping[str, Any]) -> dict[str | None, Any]:
    """Models of a plan by label; a study with one has no label and keeps it within the identity."""
    if "model" in plan.get("identity", {}):
        return {None: plan["identity"]["model"]}
    return plan.get("models", {})


def hash_name(label: str | None) -> str:
    """Name the weights of a model's encoder among the hashes of a study."""
    return f"encoder weights of {label}" if label else "encoder weights"


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What one run of a study trains, where the rest of the study is the same.

    Args:
        method: Of the study file, resolved for the fold, without its label.
        model: Of the study file, resolved, without label and path of weights.
        weights: Identity of its encoder's weights.
        fold: Fold.
        seed: Seed.
    """

    method: Mapping[str, Any]
    model: Mapping[str, Any]
    weights: str | None
    fold: int
    seed: int

    @property
    def key(self) -> str:
        """The same for the same training."""
        return canonical_hash([self.method, self.model, self.weights, self.fold, self.seed])


@dataclass(frozen=True)
class PlannedIds:
    """Ids of the runs that a plan holds.

    Args:
        by_training: `Trained.key` -> label of the method -> id; several labels where one training was planned twice.
    """

    by_training: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Mapping[str, Any]) -> "PlannedIds":
        """Read the content of plan.json; an empty plan has none."""
        models, methods, hashes = models_of(plan), plan.get("methods", {}), plan.get("hashes", {})
        by_training: dict[str, dict[str, str]] = {}
        for row in plan.get("runs", []):
            model, method = row.get("model"), methods.get(row["method"])
            if method is None or model not in models:
                continue
            weights = hashes.get(hash_name(model))
            own = {"fold": row["fold"], "seed": row["seed"], "weights": weights}
            own_method = without_label(of_fold(method, row["fold"]))
            key = Trained(method=own_method, model=models[model], **own).key
            by_training.setdefault(key, {})[row["method"]] = row["run_id"]
        return cls(by_training)

    def choose(
        self, trained: Trained, identity: Mapping[str, Any], label: str, labels: Collection[str], taken: Collection[str]
    ) -> str:
        """Return the id of a run.

        Args:
            trained: What it trains.
            identity: Everything that can change its result, as JSON.
            label: Label of its method.
            labels: Of all methods of the study.
            taken: Ids of the study's runs before it, which may be the same training under another label.

        Returns:
            The id that it was planned under, with this label or one that the study no longer has; else the first 12 hex
            digits of the hash of `identity`, numbered where the same training is planned several times.
        """
        planned = self.by_training.get(trained.key, {})
        if label in planned:
            return planned[label]
        renamed = [run_id for other, run_id in planned.items() if other not in labels and run_id not in taken]
        if renamed:
            return renamed[0]
        hashes = (canonical_hash({**identity, **({"copy": n} if n else {})})[:12] for n in count())
        return next(run_id for run_id in hashes if run_id not in taken and run_id not in planned.values())
