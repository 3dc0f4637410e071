"""The model of a finished run, opened from its records alone; the data set is not needed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imbalance_bench.config import StudyConfig
from imbalance_bench.errors import UserError
from imbalance_bench.method_entry import MethodEntry
from imbalance_bench.models.encoders import model_weights_identity
from imbalance_bench.models.licences import licences
from imbalance_bench.models.resolved_encoders import ResolvedEncoder, require_same
from imbalance_bench.models.segmenter import Segmenter, build_segmenter
from imbalance_bench.planned_study import planned_config
from imbalance_bench.records import FOREIGN, RunRecord, StudyRecords, run_name
from imbalance_bench.study import class_statistics, method_context, recorded_counts
from imbalance_bench.training.material import choose_device, choose_precision
from imbalance_bench.training.optimisation import autocast
from imbalance_bench.training.stored_model import load_weights, recorded_feedback
from methods.base import Components
from methods.composition import compose, stages_of

CPU_PIXELS, DEVICE_PIXELS = 2**18, 2**22  # of the tiles that go through a model at once


@dataclass(frozen=True)
class TrainedModel:
    """A trained model that turns tiles into logits as the run's own evaluation did.

    Attributes:
        record: The run.
        config: Its study.
        method: Label of its method.
        class_names: K names.
        class_colours: K times "#rrggbb".
        licences: Terms of its data set and encoders, as in `models.licences.licences`.
        mpp_um: Micrometres per pixel that it was trained at, or None where the data set does not say.
        segmenter: Trained, in evaluation mode.
        encoder: Whose features the head reads: the segmenter's own, or the one that filled the feature cache.
        adjust_logits: The method's correction at inference.
        device: Where it runs.
    """

    record: RunRecord
    config: StudyConfig
    method: str
    class_names: tuple[str, ...]
    class_colours: tuple[str, ...]
    licences: dict[str, Any]
    mpp_um: float | None
    segmenter: Segmenter
    encoder: Segmenter
    adjust_logits: Callable[[Tensor], Tensor] | None
    device: torch.device

    @classmethod
    def open(cls, run_dir: Path) -> "TrainedModel":
        """Open the model of a finished run.

        Args:
            run_dir: `<study>/runs/<run_id>`.

        Raises:
            UserError: Not a finished run, or its weights or its encoder's weights are missing or others.
        """
        run_dir = Path(run_dir).resolve()
        record = RunRecord(run_dir)
        if not (run_dir / "manifest.json").exists() or not record.is_done():
            raise UserError(
                f"{run_dir} must be a finished run. Give a folder <study>/runs/<run_id> that `imbalance-bench status` "
                "calls done."
            )
        root = run_dir.parent.parent
        records, manifest = StudyRecords.open(root), record.manifest()
        if manifest.get("origin") == FOREIGN:
            raise UserError(f"{run_dir} was scored, not trained: it holds no model. Give a run that was trained here.")
        config, facts = planned_config(records, record.run_id), records.dataset()
        _require_same_files(config, manifest)
        method = config.methods[0]
        names = tuple(str(class_["name"]) for class_ in facts["classes"])
        components = _components(record, config, method, facts, manifest)
        device = choose_device(config.compute)
        segmenter = _segmenter(record, config, components, len(names), int(manifest["seed"]))
        # a frozen encoder with random weights differs between seeds, but the cache was filled once, with those of 0
        encoder = (
            build_segmenter(config.model, n_classes=len(names), seed=0) if config.uses_feature_cache else segmenter
        )
        _require_same_encoders(config, manifest, encoder, run_dir)
        return cls(
            record=record,
            config=config,
            method=method.label,
            class_names=names,
            class_colours=tuple(str(class_["colour"]).lower() for class_ in facts["classes"]),
            licences=manifest.get("licences") or licences(config.model, str(facts.get("licence", ""))),
            mpp_um=facts.get("mpp_um"),
            segmenter=segmenter.to(device).eval(),
            encoder=encoder.to(device).eval(),
            adjust_logits=components.adjust_logits,
            device=device,
        )

    @property
    def tile_px(self) -> int:
        """Edge of the tiles that it sees."""
        return self.config.dataset.tile_px

    @property
    def tiles_per_pass(self) -> int:
        """Tiles that go through it at once: few on a CPU, whose caches are small, and many on other devices."""
        pixels, most = (CPU_PIXELS, 4) if self.device.type == "cpu" else (DEVICE_PIXELS, 64)
        return min(most, max(1, pixels // self.tile_px**2))

    def logits(self, tiles: np.ndarray) -> np.ndarray:
        """Run the model.

        Args:
            tiles: (n, t, t, 3) uint8, RGB.

        Returns:
            (n, K, t, t) float32.

        Raises:
            UserError: A logit is NaN or infinite.
        """
        return self.device_logits(tiles).cpu().numpy()

    @torch.inference_mode()
    def device_logits(self, tiles: np.ndarray) -> Tensor:
        """Run the model as `logits` does, and leave the result on the device."""
        images = torch.from_numpy(tiles).to(self.device).permute(0, 3, 1, 2)
        with autocast(choose_precision(self.config.training, self.device), self.device):
            features = self.encoder.encode(images)
            if self.config.uses_feature_cache:
                features = [feature.half().float() for feature in features]  # what the head was trained on
            logits = self.segmenter.decode(features, tiles.shape[1])
        logits = (logits if self.adjust_logits is None else self.adjust_logits(logits)).float()
        if not bool(logits.isfinite().all()):
            raise UserError(f"{self.record.path}: the logits of this model are not finite. Train the run again.")
        return logits


def _require_same_encoders(config: StudyConfig, manifest: dict[str, Any], built: Segmenter, run_dir: Path) -> None:
    """Refuse encoders that libraries now resolve in another way; records of earlier versions do not name them."""
    trained_on = [ResolvedEncoder.read(row) for row in manifest.get("encoders", [])]
    if config.model.encoder_tuning == "full":  # all weights are stored with the run
        trained_on = [replace(encoder, weights=None) for encoder in trained_on]
    if trained_on:
        require_same(trained_on, [ResolvedEncoder.of(encoder) for encoder in built.encoders], str(run_dir))


def _require_same_files(config: StudyConfig, manifest: dict[str, Any]) -> None:
    """A frozen encoder is not stored with the run, so its weights must still be the ones it was trained on."""
    trained_on = manifest["hashes"]["encoder_weights"]
    current = model_weights_identity(config.model)
    if current != trained_on:
        raise UserError(
            f"`model.encoder_weights` {config.model.encoder_weights} must be the file of the run ({trained_on[:12]}). "
            f"Got {current[:12]}. Put the original file back."
        )


def _components(
    record: RunRecord, config: StudyConfig, method: MethodEntry, facts: dict[str, Any], manifest: dict[str, Any]
) -> Components:
    """Build the method as it stood in the run's last stage."""
    names = tuple(str(class_["name"]) for class_ in facts["classes"])
    statistics = class_statistics(recorded_counts(facts, names)[int(manifest["fold"])])
    stages = stages_of(method.parts)
    every = config.training.validate_every
    finished = tuple(recorded_feedback(record, stage, len(names), every) for stage in range(len(stages) - 1))
    context = method_context(config, statistics, int(manifest["seed"]), stage=len(stages) - 1, finished=finished)
    return compose(method.parts, context)


def _segmenter(record: RunRecord, config: StudyConfig, components: Components, n_classes: int, seed: int) -> Segmenter:
    """Build the run's model and load what it learned."""
    bias = components.attention_bias
    extra_tokens = bias.extra_tokens if bias is not None else 0
    segmenter = build_segmenter(config.model, n_classes=n_classes, seed=seed, extra_tokens=extra_tokens)
    segmenter.install(components)
    load_weights(segmenter, record)
    return segmenter


def resolve_run(path: Path) -> Path:
    """Accept a run's folder; of a study directory say which runs there are.

    Raises:
        UserError: A study directory, with its finished runs.
    """
    path = Path(path)
    if not (path / "plan.json").exists():
        return path
    planned = {run["run_id"]: run for run in StudyRecords(path).plan()["runs"]}
    finished = [run.run_id for run in StudyRecords(path).finished()]
    rows = [(run_id, planned[run_id]) for run_id in finished if run_id in planned]
    named = ", ".join(f"{path}/runs/{run_id} ({run_name(run['method'], run.get('model'))})" for run_id, run in rows)
    raise UserError(f"{path} is a study. Give one of its finished runs: {named or 'none is finished yet'}.")
