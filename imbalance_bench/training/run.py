"""One run, from its plan to its records; picks up where a killed one stopped."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from imbalance_bench.data.unchanged import require_unchanged
from imbalance_bench.errors import UserError
from imbalance_bench.evaluation.counts import Counts
from imbalance_bench.evaluation.finite import NotFiniteError
from imbalance_bench.interruption import asked_to_stop, at_safe_points, stop_if_asked
from imbalance_bench.manifest import write_json
from imbalance_bench.models.segmenter import CLASSIFIER_PREFIXES, Segmenter
from imbalance_bench.models.tensor_digest import tensor_digest
from imbalance_bench.progress_log import ProgressLog
from imbalance_bench.records import RunRecord, RunState
from imbalance_bench.run_lock import exclusive
from imbalance_bench.seeding import derive_seed
from imbalance_bench.study import PlannedRun, Study, build_context
from imbalance_bench.training.batches import BatchSequence
from imbalance_bench.training.checkpoint import delete_checkpoint, load_checkpoint, save_checkpoint
from imbalance_bench.training.completion import evaluate_images, recorded_encoders, write_records
from imbalance_bench.training.dynamics import WatchedCrops
from imbalance_bench.training.image_evaluation import ImageEvaluation
from imbalance_bench.training.journal import RunJournal
from imbalance_bench.training.loop import StageSetting, StageTrainer
from imbalance_bench.training.material import (
    choose_device,
    choose_precision,
    initial_segmenter,
    open_material,
    rows_by_image,
    rows_of,
)
from imbalance_bench.training.memory import is_short_of_memory, short_of_memory
from imbalance_bench.training.numerics import configure_torch
from imbalance_bench.training.stored_model import load_weights, recorded_feedback
from imbalance_bench.training.tile_data import TileData
from methods.base import ClassFeedback, Components, Stage
from methods.composition import compose, stages_of
from methods.cross_entropy import CrossEntropyDice

PROBE_TILES = 4  # tiles on which the ledger measures attention
# steps done, steps in all, the last loss, and what validation counted last
OnStep = Callable[[int, int, float | None, ClassFeedback | None], None]


def execute_run(study: Study, run: PlannedRun, cache_dir: Path, on_step: OnStep) -> None:
    """Train, evaluate and write the records of one run; do nothing if it is done already.

    Args:
        study: The study.
        run: One of its runs.
        cache_dir: Where tiles and features are cached.
        on_step: Called with the steps done, the steps in all, the last loss, and the last validation counts.

    Raises:
        UserError: The run cannot continue; its status then says `failed`.
        RunInUseError: Another process works on it.
        ShortOfMemoryError: Memory ran out.
    """
    study, record = study.of(run.model), study.records.run(run.run_id)
    with exclusive(record):
        if record.is_done():
            return
        steps = planned_steps(study, run)
        try:
            device = choose_device(study.config.compute)
            configure_torch(study.config.compute, device)
            checkpoint = load_checkpoint(record.path, device)
            data = open_material(study, cache_dir, device)
            execution = RunExecution(study, run, record, data, on_step)
            if checkpoint is None and (record.path / "manifest.json").exists():  # `repair` left a trained run so
                execution.evaluate_again()
            else:
                execution.execute(checkpoint)
        except Exception as error:
            reason = short_of_memory(error, study.config.training) if is_short_of_memory(error) else error
            step = record.last_step()
            record.write_status(RunState.FAILED, step=step, steps=steps, error=_line(reason))
            if reason is error:
                raise
            raise reason from None


def planned_steps(study: Study, run: PlannedRun) -> int:
    """Optimiser steps of a run, over all of its stages."""
    return sum(stage_steps(study, run))


def stage_steps(study: Study, run: PlannedRun) -> list[int]:
    """Optimiser steps of each stage of a run."""
    whole = run.method.steps(study.config.training.steps)
    return [stage.steps(whole) for stage in stages_of(run.method.parts)]


class RunExecution:
    """A run while it executes.

    Args:
        study: The study.
        run: One of its runs.
        record: Its folder.
        data: The tiles, on the run's device.
        on_step: Told about progress.
    """

    def __init__(self, study: Study, run: PlannedRun, record: RunRecord, data: TileData, on_step: OnStep) -> None:
        self._study, self._run, self._record, self._data, self._on_step = study, run, record, data, on_step
        self._rows = rows_by_image(data.tiles)
        self._precision = choose_precision(study.config.training, data.device)
        self._stages = stages_of(run.method.parts)
        self._stage_steps = stage_steps(study, run)
        self._stage_ends: list[float] = []  # seconds into the run
        self._journal, self._log = RunJournal(), ProgressLog(record.progress_path)
        self._finished: list[ClassFeedback] = []
        self._seconds_before, self._started = 0.0, time.monotonic()
        self._initial_digest = ""
        self._steps, self._steps_done = planned_steps(study, run), 0

    def execute(self, checkpoint: dict[str, Any] | None) -> None:
        """Train every stage, then evaluate and write; resume from `checkpoint` where there is one."""
        first = 0
        if checkpoint is not None:
            first = checkpoint["stage"]
            self._restore(checkpoint)
        self._log.begin(None if checkpoint is None else (first, checkpoint["trainer"]["step"]))
        self._record.write_status(RunState.RUNNING, step=self._steps_done, steps=self._steps)
        components, segmenter, trainer = self._set_up(first, None)
        if checkpoint is not None:
            trainer.load_state_dict(checkpoint["trainer"])
        self._train(first, trainer)
        for index in range(first + 1, len(self._stages)):
            components, segmenter, trainer = self._set_up(index, segmenter)
            self._train(index, trainer)
        self._complete(segmenter, components, trainer)

    def evaluate_again(self) -> None:
        """Make the records of the evaluation again, from the weights of a run that was trained to its end.

        Raises:
            UserError: It was trained on other features than those that are read now.
        """
        trained_on = self._record.manifest().get("encoders", [])
        if trained_on and trained_on != recorded_encoders(self._study, self._data):  # older records do not say
            raise UserError(
                f"{self._record.path} was trained on other encoders or cached features than it would be evaluated on. "
                "Delete the folder and train it again."
            )
        last = len(self._stages) - 1
        n_classes, every = len(self._study.taxonomy.names), self._study.config.training.validate_every
        self._finished = [recorded_feedback(self._record, stage, n_classes, every) for stage in range(last)]
        components, segmenter, _ = self._set_up(last, None)
        load_weights(segmenter, self._record)
        evaluation = ImageEvaluation(self._study, self._data, self._rows, segmenter, components, self._precision)
        evaluate_images(self._study, self._run, self._record, evaluation).write_missing()
        write_json(self._record.path / "manifest.json", self._record.manifest() | {"files": self._record.digests()})
        self._record.write_status(RunState.DONE, step=self._steps, steps=self._steps)

    def adopt(self, load: Callable[[Segmenter], None], origin: dict[str, Any]) -> None:
        """Record a model that was trained elsewhere as this run: evaluated as it is, without a step of training.

        Args:
            load: Gives the run's model its weights.
            origin: Where they come from, for the manifest.
        """
        if len(self._stages) > 1:
            raise UserError(f"'{self._run.method.label}' is trained in several stages. Give a method with one.")
        components, segmenter, trainer = self._set_up(0, None)
        load(segmenter)
        self._record.write_status(RunState.RUNNING, step=0, steps=self._steps)
        trainer.look_at_the_end()
        self._stage_ends.append(self.seconds)
        self._complete(segmenter, components, trainer, origin)

    def _set_up(self, index: int, before: Segmenter | None) -> tuple[Components, Segmenter, StageTrainer]:
        """Build method, model and trainer of a stage."""
        study, config, stage, steps = self._study, self._study.config, self._stages[index], self._stage_steps[index]
        context = build_context(study, self._run, stage=index, finished=tuple(self._finished))
        context = replace(context, steps=steps)
        components = compose(self._run.method.parts, context)
        bias = components.attention_bias
        extra_tokens = bias.extra_tokens if bias is not None else 0
        segmenter = initial_segmenter(study, self._run.seed, extra_tokens, self._data.device)
        segmenter.install(components)
        segmenter.place(self._data.device)
        if before is not None and stage.carry_weights:
            segmenter.take_over(_handed_on(before, stage))
        if stage.trains == "classifier":
            segmenter.freeze_features()
        if not self._initial_digest:
            self._initial_digest = digest_of(segmenter)
        loss = (components.loss or CrossEntropyDice()).to(self._data.device)
        fold = study.splits.folds[self._run.fold]
        setting = StageSetting(
            stage=index,
            section=config.training.model_copy(update=self._run.method.recipe.changes() | {"steps": steps}),
            precision=self._precision,
            seed=self._run.seed,
            data=self._data,
            batches=self._batches(components),
            probe_tiles=rows_of(fold.val or fold.train, self._rows)[:PROBE_TILES],
            validate=(lambda: self._count(segmenter, components, fold.val)) if fold.val else None,
            watched=self._watched,
        )
        return components, segmenter, StageTrainer(setting, segmenter, loss, components, self._journal)

    def _batches(self, components: Components) -> BatchSequence:
        config = self._study.config
        rows = np.asarray(rows_of(self._study.splits.folds[self._run.fold].train, self._rows), dtype=np.int64)
        pixels = self._data.tile_pixels(rows.tolist(), len(self._study.taxonomy.names))
        labelled = pixels.sum(1) > 0
        order = config.training.data_order_seed
        return BatchSequence(
            rows[labelled],
            pixels[labelled],
            tile_px=config.dataset.tile_px,
            section=config.training,
            seed=derive_seed(self._run.seed if order is None else order, "data order"),
            cached_views=config.training.augmentation.cached_views if config.uses_feature_cache else 0,
            grid_px=self._data.grid_px,
            sampler=components.sampler,
        )

    @cached_property
    def _watched(self) -> WatchedCrops | None:
        """Training crops whose dynamics are recorded, the same for every stage and run of the fold."""
        config, fold = self._study.config, self._study.splits.folds[self._run.fold]
        limit, k = config.evaluation.dynamics_crops, len(self._study.taxonomy.names)
        if not limit:
            return None
        return WatchedCrops.draw(self._data, rows_of(fold.train, self._rows), n_classes=k, limit=limit)

    def _train(self, index: int, trainer: StageTrainer) -> None:
        before = sum(self._stage_steps[:index])

        def on_step(step: int, loss: float) -> None:
            self._steps_done = before + step
            self._log.add(*self._journal.news())
            self._on_step(self._steps_done, self._steps, loss, trainer.feedback)
            if asked_to_stop() and step < self._stage_steps[index]:
                self._save(index, trainer)
                stop_if_asked()

        with at_safe_points():
            trainer.train(on_step, lambda: self._save(index, trainer))
            self._end_stage(index, trainer)
        stop_if_asked()

    def _end_stage(self, index: int, trainer: StageTrainer) -> None:
        if len(self._finished) == index and index + 1 < len(self._stages) and trainer.feedback is not None:
            self._finished.append(trainer.feedback)
        if len(self._stage_ends) == index:
            self._stage_ends.append(self.seconds)
        self._save(index, trainer)

    def _count(self, segmenter: Segmenter, components: Components, image_ids: tuple[str, ...]) -> Counts:
        evaluation = ImageEvaluation(self._study, self._data, self._rows, segmenter, components, self._precision)
        total = evaluation.counts(image_ids[0])
        for image_id in image_ids[1:]:
            total = total + evaluation.counts(image_id)
        return total

    def _save(self, index: int, trainer: StageTrainer) -> None:
        state: dict[str, Any] = {
            "stage": index,
            "trainer": trainer.state_dict(),
            "journal": self._journal.state_dict(),
            "finished": [vars(feedback) for feedback in self._finished],
            "stage_ends": self._stage_ends,
            "initial_digest": self._initial_digest,
            "seconds": self.seconds,
        }
        save_checkpoint(self._record.path, state)
        self._record.write_status(RunState.RUNNING, step=self._steps_done, steps=self._steps)

    def _restore(self, checkpoint: dict[str, Any]) -> None:
        self._journal.load_state_dict(checkpoint["journal"])
        self._finished = [ClassFeedback(**feedback) for feedback in checkpoint["finished"]]
        self._initial_digest = checkpoint["initial_digest"]
        self._seconds_before = checkpoint["seconds"]
        self._stage_ends = list(checkpoint["stage_ends"])
        self._steps_done = sum(self._stage_steps[: checkpoint["stage"]]) + checkpoint["trainer"]["step"]
        self._on_step(self._steps_done, self._steps, None, None)

    @property
    def seconds(self) -> float:
        """Time spent on this run, over all of its resumptions."""
        return self._seconds_before + time.monotonic() - self._started

    def _stage_costs(self) -> list[dict[str, Any]]:
        """Name, steps and seconds of each stage, validation passes included; seconds over all resumptions."""
        starts = [0.0, *self._stage_ends[:-1]]
        spans = zip(self._stages, self._stage_steps, starts, self._stage_ends, strict=True)
        return [{"name": stage.name, "steps": steps, "seconds": end - start} for stage, steps, start, end in spans]

    def _complete(
        self,
        segmenter: Segmenter,
        components: Components,
        trainer: StageTrainer,
        origin: dict[str, Any] | None = None,
    ) -> None:
        """Evaluate, write every record, and only then call the run done."""
        require_unchanged(self._study.root, self._study.records.dataset())  # the truth is read now
        evaluation = ImageEvaluation(self._study, self._data, self._rows, segmenter, components, self._precision)
        pairing = {
            "initial_weights": self._initial_digest,
            "batches": trainer.batch_digest,
            # its batches are not those of the other methods; a shorter training sees the first of them only
            "own_sampler": components.sampler is not None
            or components.batch_transform is not None
            or self._run.method.steps_fraction < 1
            or origin is not None,
        }
        trained_steps = self._steps if origin is None else 0
        cost = {"steps": trained_steps, "stages": self._stage_costs(), "seconds_before_evaluation": self.seconds}
        try:
            write_records(
                self._study,
                self._run,
                self._record,
                evaluation,
                self._journal,
                pairing=pairing,
                cost=cost,
                precision=self._precision,
                seconds=lambda: self.seconds,
                origin=origin,
            )
        except NotFiniteError as error:
            raise NotFiniteError(error.quantity, self._steps) from error
        self._record.write_status(RunState.DONE, step=self._steps, steps=self._steps)
        delete_checkpoint(self._record.path)


def _handed_on(before: Segmenter, stage: Stage) -> dict[str, Tensor]:
    """What a stage takes over from the model of the stage before."""
    state = before.stored_state()
    if stage.trains == "classifier":
        return {name: value for name, value in state.items() if not name.startswith(CLASSIFIER_PREFIXES)}
    return state


def digest_of(segmenter: Segmenter) -> str:
    """SHA-256 of the names and values of every parameter and buffer that all methods share."""
    return tensor_digest(segmenter.shared_parameters())


def _line(error: Exception) -> str:
    """One line for status.json."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
