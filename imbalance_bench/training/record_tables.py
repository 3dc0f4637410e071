"""What each validation and test image leaves in the records of a run: rows of tables, masks, attention maps."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

import numpy as np
import pandas as pd
from safetensors.numpy import save as serialise_arrays

from imbalance_bench.errors import UserError
from imbalance_bench.evaluation.counts import Counts, confusion_matrix, count_pixels
from imbalance_bench.evaluation.image_tables import (
    BoundarySetting,
    ImageKeys,
    boundary_rows,
    confusion_rows,
    count_rows,
    probability_rows,
)
from imbalance_bench.evaluation.interventions import LEARNED, changed_biases
from imbalance_bench.evaluation.kept_logits import KeptLogits
from imbalance_bench.evaluation.kept_predictions import write_prediction
from imbalance_bench.evaluation.path_controls import (
    DOSES,
    WEIGHT_CONTROLS,
    ShiftedLogits,
    dosed_bias,
    weights_of,
)
from imbalance_bench.evaluation.prediction import most_likely
from imbalance_bench.evaluation.probabilities import ProbabilityCounts, count_probabilities
from imbalance_bench.manifest import write_atomically
from imbalance_bench.records import RunRecord
from imbalance_bench.table_files import as_table, read_table, write_table
from imbalance_bench.table_schemas import PathControl
from imbalance_bench.training.image_evaluation import ImageEvaluation, QueriedImage

# parts of an evaluation
_TIMED = ("prediction", "probabilities", "boundary", "interventions", "path_controls", "attention")


class RecordTables:
    """Collects the rows that images leave in the record tables.

    Args:
        evaluation: The trained model.
        record: The run's folder.
        controlled: Images on which the attention path is controlled, and whether with doses too.
    """

    def __init__(self, evaluation: ImageEvaluation, record: RunRecord, controlled: Mapping[str, bool]) -> None:
        section = evaluation.study.config.evaluation
        self._evaluation, self._record, self._controlled = evaluation, record, controlled
        self._boundary = BoundarySetting.of(section, evaluation.study.dataset.info.mpp_um)
        bias = evaluation.components.attention_bias
        self._biases = {} if bias is None else changed_biases(bias, section.permuted_biases)
        self._tables: dict[str, list[pd.DataFrame]] = {}
        self.seconds: dict[str, float] = dict.fromkeys(_TIMED, 0.0)

    def add(self, image_id: str, split: str, *, keep: bool) -> None:
        """Predict one image and collect its rows; with `keep`, its predicted mask and attention maps are written."""
        evaluation = self._evaluation
        keys = ImageKeys(image_id, evaluation.study.dataset.entry(image_id).group_id, split)
        target = evaluation.target(image_id)
        again = self._biases or keep or image_id in self._controlled
        query = evaluation.query(image_id) if again else None
        doses = query is not None and self._controlled.get(image_id)
        with KeptLogits(self._record.path) if doses else nullcontext() as kept:
            self._add(keys, query, target, kept, keep=keep)

    def _add(
        self, keys: ImageKeys, query: QueriedImage | None, target: np.ndarray, kept: KeptLogits | None, *, keep: bool
    ) -> None:
        evaluation, image_id = self._evaluation, keys.image_id
        bands = evaluation.logit_bands(image_id) if query is None else query.logit_bands()
        predicted, probabilities = self._predict(bands, target, kept)
        confusion = confusion_matrix(predicted, target, evaluation.n_classes)
        self._append("confusion", confusion_rows(keys, confusion))
        counts = Counts.of_confusion(confusion)
        self._append("counts", count_rows(keys, counts))
        self._append("probabilities", probability_rows(keys, probabilities))
        with self._timed("boundary"):
            self._append("boundary", boundary_rows(keys, predicted, target, evaluation.n_classes, self._boundary))
        if query is not None and self._biases:
            with self._timed("interventions"):
                self._intervene(keys, query, target, counts)
        if query is not None and image_id in self._controlled:
            with self._timed("path_controls"):
                self._control(keys, query, kept, target, counts)
        if keep:
            write_prediction(self._record, image_id, predicted)
        if keep and query is not None:
            with self._timed("attention"):
                _write_attention(self._record, query)

    def _predict(
        self, bands: Iterator[np.ndarray], target: np.ndarray, kept: KeptLogits | None
    ) -> tuple[np.ndarray, ProbabilityCounts]:
        """Return the mask, (H, W) uint8, and the probabilities of an image, whose logits are kept where asked."""
        predicted, counted, top = np.empty(target.shape, np.uint8), list[ProbabilityCounts](), 0
        while True:
            with self._timed("prediction"):
                band = next(bands, None)
                if band is None:
                    return predicted, sum(counted[1:], start=counted[0])
                rows = slice(top, top + band.shape[1])
                predicted[rows] = most_likely(band)
            with self._timed("probabilities"):
                counted.append(count_probabilities(band, predicted[rows], target[rows]))
            if kept is not None:
                kept.append(band)
            top = rows.stop

    def write(self) -> None:
        """Write every table that has rows."""
        for name, tables in self._tables.items():
            write_table(self._record.path / f"{name}.parquet", name, pd.concat(tables, ignore_index=True))

    def write_missing(self) -> None:
        """Write the tables that the run lacks, if those that it has are what the model gives now.

        Raises:
            UserError: They are not: the weights are no longer the ones that were recorded.
        """
        lacking = []
        for name, tables in self._tables.items():
            path, rows = self._record.path / f"{name}.parquet", pd.concat(tables, ignore_index=True)
            if not path.exists():
                lacking.append((path, name, rows))
            elif not read_table(path, name).equals(as_table(name, rows).to_pandas()):
                raise UserError(
                    f"{path} must hold what the trained model predicts. Got another prediction, on another device or "
                    f"of damaged weights. Delete {self._record.path}, and run the study again.",
                    exit_code=1,
                )
        for path, name, rows in lacking:
            write_table(path, name, rows)

    def _intervene(self, keys: ImageKeys, query: QueriedImage, target: np.ndarray, learned: Counts) -> None:
        counts = {LEARNED: learned}
        for name, bias in self._biases.items():
            counts[name] = count_pixels(query.predict(bias), target, self._evaluation.n_classes)
        self._append("interventions", count_rows(keys, *counts.values(), intervention=list(counts)))

    def _control(
        self, keys: ImageKeys, query: QueriedImage, kept: KeptLogits | None, target: np.ndarray, learned: Counts
    ) -> None:
        counts = {(str(PathControl.LEARNED), -1, 0.0): learned}
        for done, predicted in self._controlled_predictions(query, kept):
            counts[done] = count_pixels(predicted, target, self._evaluation.n_classes)
        control, target_id, dose = zip(*counts, strict=True)
        self._append(
            "path_controls", count_rows(keys, *counts.values(), control=control, target_id=target_id, dose=dose)
        )

    def _controlled_predictions(
        self, query: QueriedImage, kept: KeptLogits | None
    ) -> Iterator[tuple[tuple[str, int, float], np.ndarray]]:
        """Yield what was done - control, class, dose - and the mask, (H, W) uint8, that is predicted then.

        Args:
            query: The image.
            kept: Its logits; None: without doses.
        """
        evaluation, n_classes = self._evaluation, self._evaluation.n_classes
        bias = evaluation.components.attention_bias
        shares = {rows: query.class_shares(rows) for rows in query.passes}
        for control in WEIGHT_CONTROLS:
            weights = {rows: weights_of(control, share) for rows, share in shares.items()}
            predicted = query.predict(weights=lambda rows, weights_of_rows=weights: weights_of_rows[tuple(rows)])
            yield (str(control), -1, 0.0), predicted
        if kept is None:
            return
        for class_id in range(n_classes):
            shifted = ShiftedLogits(kept, class_id)
            for dose in DOSES:
                dosed = dosed_bias(bias, class_id, dose, n_classes=n_classes).to(evaluation.data.device)
                predicted = query.predict(dosed)
                yield (str(PathControl.BIAS_DOSE), class_id, dose), predicted
                yield (str(PathControl.LOGIT_DOSE), class_id, dose), shifted.predict(dose)
                matched = shifted.predict_pixels(int((predicted == class_id).sum()))
                yield (str(PathControl.LOGIT_MATCHED), class_id, dose), matched

    def _append(self, name: str, rows: pd.DataFrame) -> None:
        self._tables.setdefault(name, []).append(rows)

    @contextmanager
    def _timed(self, activity: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[activity] += time.monotonic() - started


def _write_attention(record: RunRecord, query: QueriedImage) -> None:
    tensors = {
        "weights": query.attention().astype(np.float16),
        "stride_px": np.array([query.decoder.size.token_stride_px], dtype=np.int32),
    }
    content = serialise_arrays(tensors)
    write_atomically(record.attention_path(query.image_id), lambda file: file.write(content))
