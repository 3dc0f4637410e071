"""The plain training loop of one stage."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from imbalance_bench.config import TrainingSection
from imbalance_bench.errors import UserError
from imbalance_bench.evaluation.counts import Counts
from imbalance_bench.evaluation.finite import NotFiniteError, require_finite, require_finite_state
from imbalance_bench.models.segmenter import Segmenter, SmpHead
from imbalance_bench.seeding import derive_seed, generator
from imbalance_bench.training.batches import BatchSequence
from imbalance_bench.training.dynamics import TrainingDynamics, WatchedCrops
from imbalance_bench.training.first_fault import FirstFault, is_deferred
from imbalance_bench.training.journal import RunJournal
from imbalance_bench.training.optimisation import Optimisation, autocast
from imbalance_bench.training.resident import crops_of
from imbalance_bench.training.tile_data import TileData
from methods.base import ClassFeedback, Components, Loss
from methods.slots import TrainingBatch


@dataclass(frozen=True)
class StageSetting:
    """What does not change while a stage trains.

    Attributes:
        stage: Its index.
        section: The study's training section, with the steps of the stage.
        precision: `float32` or `bfloat16`.
        seed: The run's seed.
        data: The tiles.
        batches: Which crops each step sees.
        probe_tiles: Tiles on which the ledger measures attention.
        validate: Counts the whole validation split; None where there is none.
        watched: Training crops whose dynamics are recorded; None: none.
    """

    stage: int
    section: TrainingSection
    precision: str
    seed: int
    data: TileData
    batches: BatchSequence
    probe_tiles: Sequence[int]
    validate: Callable[[], Counts] | None
    watched: WatchedCrops | None = None


class StageTrainer:
    """Trains one stage, resumably.

    Args:
        setting: What does not change.
        segmenter: The model, with the method's attention bias in its hook.
        loss: The method's loss.
        components: The method.
        journal: Takes rows for the records.

    Attributes:
        step: Optimiser steps done.
        feedback: Counts of the last validation pass.
    """

    def __init__(
        self, setting: StageSetting, segmenter: Segmenter, loss: Loss, components: Components, journal: RunJournal
    ) -> None:
        self._setting, self._segmenter, self._loss = setting, segmenter, loss
        self._components, self._journal = components, journal
        groups = components.param_groups(segmenter) if components.param_groups else ()
        self._optimisation = Optimisation(segmenter, loss, groups, setting.section)
        section = setting.section
        n_crops = section.steps * section.accumulate * section.batch_size
        self._crops = crops_of(setting.data, setting.batches.tiles.tolist(), n_crops)
        self._deferred, self._fault = is_deferred(setting.data.device), FirstFault()
        self._last_loss: float | Tensor = math.nan
        self._known_loss = math.nan
        self._batch_digest = b""
        watched = setting.watched
        self._dynamics = watched and TrainingDynamics(watched, setting.data, setting.section.batch_size)
        self.step = 0
        self.feedback: ClassFeedback | None = None

    @property
    def batch_digest(self) -> str:
        """Digest of every batch so far, in order."""
        return self._batch_digest.hex()

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes, as tensors and plain values.

        Raises:
            NotFiniteError: Gradients of an earlier step, whose check was deferred, were not finite.
            UserError: Nor was a loss.
        """
        self._settle()
        return {
            "model": self._segmenter.stored_state(),
            "loss": self._loss.state_dict(),
            "optimisation": self._optimisation.state_dict(),
            "step": self.step,
            "batch_digest": self.batch_digest,
            "dynamics": self._dynamics and self._dynamics.state_dict(),
            "feedback": None if self.feedback is None else vars(self.feedback),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._segmenter.load_stored_state(state["model"])
        self._loss.load_state_dict(state["loss"])
        self._optimisation.load_state_dict(state["optimisation"])
        self.step, self._batch_digest = state["step"], bytes.fromhex(state["batch_digest"])
        if self._dynamics is not None:
            self._dynamics.load_state_dict(state["dynamics"])
        self.feedback = None if state["feedback"] is None else ClassFeedback(**state["feedback"])

    def train(self, on_step: Callable[[int, float], None], on_checkpoint: Callable[[], None]) -> None:
        """Train to the last step.

        Args:
            on_step: Called after each step with the steps done and the loss: on a GPU that of the last step that the
                records waited for.
            on_checkpoint: Called every `checkpoint_every` steps, when the state may be saved.

        Raises:
            NotFiniteError: Gradients, weights, logits or what the ledger would hold are not finite; nothing has been
                saved since they were.
            UserError: The loss is no longer finite.
        """
        section = self._setting.section
        self._segmenter.train()
        if self.step == 0:
            self._write_class_parameters()
        while self.step < section.steps:
            self._take_step(with_gradient_norms=self.step % section.ledger_every == 0)
            is_last = self.step == section.steps
            try:
                self._look(is_last=is_last)
            except NotFiniteError as error:
                raise NotFiniteError(error.quantity, self.step if error.step is None else error.step) from error
            if isinstance(self._last_loss, float):
                self._known_loss = self._last_loss
            on_step(self.step, self._known_loss)
            if not is_last and self.step % section.checkpoint_every == 0:
                on_checkpoint()

    def look_at_the_end(self) -> None:
        """Validate and write what is due after the last step, of a model that was trained elsewhere.

        Raises:
            NotFiniteError: The model, or what the ledger would hold, is not finite.
        """
        self.step = self._setting.section.steps
        self._look(is_last=True)

    def _look(self, *, is_last: bool) -> None:
        """Validate and write what is due after a step, of a model that is known to be finite."""
        section = self._setting.section
        validates, recorded, saved = (
            is_last or self.step % every == 0
            for every in (section.validate_every, section.ledger_every, section.checkpoint_every)
        )
        if validates or recorded or saved:
            self._settle()
            self._require_finite()
        if validates:
            self._run_validation()
        if recorded:
            self._journal.write_losses(self._setting.stage, self.step, self._optimisation.learning_rate)
            self._write_class_parameters()
            self._watch()
        if is_last and self._dynamics is not None:
            self._journal.write_dynamics(self._dynamics.rows(self._setting.stage))

    @torch.inference_mode()
    def _require_finite(self) -> None:
        """Refuse a model whose weights, or whose logits of one tile, are not finite."""
        require_finite_state("The model's weights", self._segmenter.stored_state())
        # not its buffers, which may say that something is not known yet
        require_finite_state("The weights of the loss", dict(self._loss.named_parameters()))
        data = self._setting.data
        self._segmenter.eval()
        with autocast(self._setting.precision, data.device):
            logits = data.tile_logits(self._segmenter, self._setting.probe_tiles[:1])
        self._segmenter.train()
        require_finite("The model's logits", logits)

    def _settle(self) -> None:
        """Refuse losses and gradients of earlier steps whose check was deferred."""
        found = self._fault.found()
        if found is not None:
            raise _loss_is_not_finite(found[1], found[0])
        self._optimisation.require_finite()
        self._last_loss = float(self._last_loss)

    def _take_step(self, *, with_gradient_norms: bool) -> None:
        """Run one optimiser step."""
        setting, total = self._setting, 0.0
        torch.manual_seed(derive_seed(setting.seed, "step", setting.stage, self.step))
        squares = torch.zeros(())
        for part, drawn in enumerate(setting.batches.of_step(self.step)):
            self._batch_digest = drawn.update(self._batch_digest)
            batch = self._crops.training_batch(drawn)
            if self._components.batch_transform is not None:
                own = generator(setting.seed, "batch transform", setting.stage, self.step, part)
                batch = self._components.batch_transform(batch, own)
            with autocast(setting.precision, setting.data.device):
                logits = setting.data.training_logits(self._segmenter, batch)
            if with_gradient_norms:
                logits.retain_grad()
            total += self._backward(logits, batch) / setting.section.accumulate
            if with_gradient_norms and logits.grad is not None:
                squares = squares + logits.grad.square().sum((0, 2, 3)).cpu()
        if with_gradient_norms:
            self._journal.write_ledger(setting.stage, self.step, {"logit_gradient_norm": squares.sqrt()})
        self._optimisation.step()
        self.step += 1
        self._last_loss = total

    def _backward(self, logits: Tensor, batch: TrainingBatch) -> float | Tensor:
        """Add the gradients of one batch and return its loss, which stays on a GPU."""
        output = self._loss(logits, batch.target, batch.valid, self.step)
        added = self._segmenter.auxiliary_loss(logits, batch.target, batch.valid)
        total = sum(added.values(), start=output.total)
        value = total.detach()
        if self._deferred:
            self._fault.note(value, self.step)
        else:
            value = float(value)
            if not math.isfinite(value):
                raise _loss_is_not_finite(value, self.step)
        (total / self._setting.section.accumulate).backward()
        parts = {name: part.detach() for name, part in added.items()}
        self._journal.add_loss({"loss": total.detach(), **output.parts, **parts})
        return value

    def _run_validation(self) -> None:
        """Count the validation split, record it, and pass it to a method that uses it."""
        if self._setting.validate is None:
            return
        counts = self._setting.validate()
        self._segmenter.train()
        values = {"tp": counts.tp, "fp": counts.fp, "fn": counts.fn}
        self._journal.write_validation(self._setting.stage, self.step, values)
        tensors = {name: torch.from_numpy(value) for name, value in values.items()}
        epoch = self.step // self._setting.section.validate_every
        self.feedback = ClassFeedback(step=self.step, epoch=epoch, **tensors)
        if self._components.on_epoch_end is not None:
            self._components.on_epoch_end(self.feedback)

    def _watch(self) -> None:
        """Look at the watched pixels."""
        if self._dynamics is None:
            return
        self._segmenter.eval()
        with autocast(self._setting.precision, self._setting.data.device):
            self._dynamics.look(self._segmenter)
        self._segmenter.train()

    def _write_class_parameters(self) -> None:
        """Record what the method and the decoder hold per class now."""
        setting = self._setting
        own = self._components.class_parameters()
        self._journal.write_ledger(setting.stage, self.step, own, may_be_unknown=True)
        per_class: dict[str, Tensor] = {}
        decoder = self._segmenter.class_query
        if decoder is not None:
            self._segmenter.eval()
            features = setting.data.tile_features(self._segmenter, setting.probe_tiles)
            maps = self._segmenter.maps(features, setting.data.config.dataset.tile_px)
            attention, norms = decoder.class_statistics(maps)
            self._segmenter.train()
            per_class["effective_offset"] = attention.effective_offset.cpu()
            per_class["attention_mass"] = attention.attention_mass.cpu()
            per_class["classifier_norm"] = norms.cpu()
        elif isinstance(self._segmenter.head, SmpHead):
            per_class["classifier_norm"] = self._segmenter.head.class_norms().cpu()
        self._journal.write_ledger(setting.stage, self.step, per_class)


def _loss_is_not_finite(value: float, step: int) -> UserError:
    return UserError(f"The loss is {value} at step {step}. Lower `training.learning_rate`.", exit_code=1)
