"""Find every prediction, look at each once, and name everything that is wrong before anything is written."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from imbalance_bench.data.converters.pixel_files import require_same_frame
from imbalance_bench.data.converters.source import Problem, SourceError
from imbalance_bench.data.pictures import IndexColours, Palette, misplaced, read_palette
from imbalance_bench.data.prepared import usable_cores
from imbalance_bench.data.taxonomy import UNLABELLED
from imbalance_bench.errors import UserError
from imbalance_bench.foreign.files import PatternFiles
from imbalance_bench.foreign.labels import LabelMap, label_map
from imbalance_bench.foreign.masks import TURNS, is_nifti, mask_size, read_classes, read_probabilities
from imbalance_bench.foreign.section import ForeignConfig, ForeignMethod, NiftiAxes
from imbalance_bench.manifest import file_hash
from imbalance_bench.study_data import OnProgress, StudyData

_SHOWN = 5  # images named in a line
_TURNED = 0.1  # of the labelled pixels more right after a turn: the axes are others
_OTHER_MODEL = 0.2  # of the pixels in which mask and probabilities may disagree


class PredictionsError(SourceError):
    """Everything that is wrong with predictions, counted by kind."""

    undone = "nothing was written"


@dataclass(frozen=True)
class ForeignRun:
    """The predictions of one method for the test images of one fold.

    Attributes:
        method: The method.
        fold: Fold, from 0.
        seed: Seed.
        labels: What the values of its masks mean.
        masks: Image id -> file, in the order of the fold.
        probabilities: Image id -> file; empty where none are given.
        digests: Image id -> SHA-256 (hex) of its files.
    """

    method: ForeignMethod
    fold: int
    seed: int
    labels: LabelMap
    masks: Mapping[str, Path]
    probabilities: Mapping[str, Path]
    digests: Mapping[str, tuple[str, ...]]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.method.label} fold {self.fold} seed {self.seed}"

    @property
    def axes(self) -> NiftiAxes:
        """What the first axis of NIfTI masks counts."""
        return self.method.nifti_axes or "xy"


@dataclass(frozen=True)
class _Look:
    """What one prediction is like.

    Attributes:
        digests: Of its files.
        problem: What is wrong, if anything.
        palette: Of a mask that is read by its indices.
        right: Labelled pixels that are right: as read, then after each of TURNS; of NIfTI masks alone.
        labelled: Labelled pixels.
    """

    digests: tuple[str, ...] = ()
    problem: Problem | None = None
    palette: Palette | None = None
    right: tuple[int, ...] = ()
    labelled: int = 0


def find_runs(config: ForeignConfig, data: StudyData, where: str, on_progress: OnProgress) -> tuple[
    list[ForeignRun], list[str]
]:  # fmt: skip
    """Find and check the predictions of every method, fold and seed.

    Args:
        config: The file.
        data: The data set, divided.
        where: Name of the file, for messages.
        on_progress: Called with (phase, done, total).

    Returns:
        The runs, seeds innermost, and remarks: files that are not scored, classes that have no label.

    Raises:
        PredictionsError: Predictions are missing, unreadable, of another size or orientation, hold unknown labels, or
            palettes that contradict each other or the data set.
        UserError: The file contradicts itself or the data.
    """
    labels = {
        method.label: label_map(config.labels_of(method), data.dataset.info, data.taxonomy, where)
        for method in config.methods
    }
    runs, problems, remarks = [], [], []
    for method in config.methods:
        own, lacking, extra = _listed(method, labels[method.label], data)
        runs += own
        problems += lacking
        remarks += extra
        if labels[method.label].without:
            names = ", ".join(labels[method.label].without)
            remarks.append(f"{method.label}: no label stands for {names}, so it is never predicted.")
    _require_pairs(config, runs)
    total, n_checked, checked = sum(len(run.masks) for run in runs), 0, []
    colours = {method.label: IndexColours(labels[method.label].table.classes) for method in config.methods}
    with ThreadPoolExecutor(usable_cores()) as pool:
        for run in runs:
            looks = {}
            for image_id, look in zip(run.masks, pool.map(partial(_look, run, data), run.masks), strict=True):
                looks[image_id] = look
                n_checked += 1
                on_progress("checking predictions", n_checked, total)
            problems += [look.problem for look in looks.values() if look.problem is not None]
            problems += _other_palettes(run, looks, colours[run.method.label])
            problems += _turned(run, looks.values())
            checked.append(replace(run, digests={image_id: look.digests for image_id, look in looks.items()}))
    if problems:
        raise PredictionsError(Path(where), problems, remarks)
    return checked, remarks


def _listed(
    method: ForeignMethod, labels: LabelMap, data: StudyData
) -> tuple[list[ForeignRun], list[Problem], list[str]]:
    """Return the runs of a method, what they lack, and remarks on files that are not scored."""
    masks = PatternFiles.find(method.predictions)
    probabilities = PatternFiles.find(method.probabilities) if method.probabilities else None
    if not masks.files:
        line = f"{method.label}: no file matches {method.predictions}. Correct the path, which starts at {Path.cwd()}."
        return [], [Problem("methods without a prediction", line)], []
    _require_told_apart(method, data)
    seeds = method.seeds or masks.seeds or (0,)
    runs, problems = [], []
    for fold, part in enumerate(data.splits.folds):
        for seed in seeds:
            per_kind = [pattern.of(fold, seed) if pattern else {} for pattern in (masks, probabilities)]
            for kind, paths, pattern in (
                ("predictions", per_kind[0], masks),
                ("probabilities", per_kind[1], probabilities),
            ):
                lacking = [image_id for image_id in part.test if image_id not in paths] if pattern else []
                if lacking and pattern:
                    line = (
                        f"{method.label} fold {fold} seed {seed}: {len(lacking)} of {len(part.test)} test images have "
                        f"no {kind} ({_listing(lacking)}), looked for at {pattern.expected(lacking[0], fold, seed)}."
                    )
                    problems.append(Problem(f"runs with missing {kind}", line))
            scored = [{i: paths[i] for i in part.test if i in paths} for paths in per_kind]
            runs.append(ForeignRun(method, fold, seed, labels, scored[0], scored[1], {}))
    return runs, problems, list(_extra(method, masks, runs, data))


def _require_told_apart(method: ForeignMethod, data: StudyData) -> None:
    """Refuse one prediction that would count as that of two models."""
    tested: dict[str, int] = {}
    for fold, part in enumerate(data.splits.folds):
        for image_id in part.test:
            if tested.setdefault(image_id, fold) != fold and "{fold}" not in method.predictions:
                raise UserError(
                    f"`predictions` of '{method.label}' must hold {{fold}}: folds {tested[image_id]} and {fold} both "
                    f"test '{image_id}'. Got '{method.predictions}'."
                )


def _extra(method: ForeignMethod, masks: PatternFiles, runs: Sequence[ForeignRun], data: StudyData) -> Iterator[str]:
    """Say which files are not scored."""
    used = {path for run in runs for path in run.masks.values()}
    left = [image_id for files in masks.files.values() for image_id, path in files.items() if path not in used]
    image_ids = {entry.image_id for entry in data.dataset.entries}
    for description, ids in (
        ("other images than the data set's", [image_id for image_id in left if image_id not in image_ids]),
        ("images, folds or seeds that are not tested", [image_id for image_id in left if image_id in image_ids]),
    ):
        if ids:
            yield f"{method.label}: {len(ids)} extra predictions, of {description}, are not scored ({_listing(ids)})."


def _require_pairs(config: ForeignConfig, runs: Sequence[ForeignRun]) -> None:
    """Refuse a method that shares no fold and seed with the control: it would be compared with nothing."""
    keys: dict[str, set[tuple[int, int]]] = {}
    for run in runs:
        keys.setdefault(run.method.label, set()).add((run.fold, run.seed))
    control = keys.get(config.control, set())
    for label, own in keys.items():
        if control and not own & control:
            seeds = [", ".join(map(str, sorted({seed for _, seed in seeds_of}))) for seeds_of in (own, control)]
            raise UserError(
                f"'{label}' must share a seed with the control '{config.control}'. Got seeds {seeds[0]} and {seeds[1]}."
                f" Give '{label}' `seeds: [...]`, or name its files alike."
            )


def _look(run: ForeignRun, data: StudyData, image_id: str) -> _Look:
    """Read a prediction as a whole."""
    entry, path = data.dataset.entry(image_id), run.masks[image_id]
    kind = unreadable = "unreadable predictions, or with unknown labels"
    try:
        size, expected = mask_size(path, run.axes), (entry.height_px, entry.width_px)
        kind = "predictions of another size or orientation"
        require_same_frame(data.dataset.image_path(image_id), expected, path, size)
        kind = unreadable
        predicted = read_classes(path, run.labels, run.axes)
        palette = None if run.labels.table.colours else read_palette(path)
        if palette is not None and not run.labels.given:
            kind = "predictions whose palette is of other ids"
            _require_ids(path, palette, run.labels, data, image_id)
        likely = run.probabilities.get(image_id)
        if likely is not None:
            kind = "unusable probabilities"
            values = read_probabilities(likely, run.labels, len(data.taxonomy), expected)
            _require_same_model(likely, values, np.minimum(predicted, len(data.taxonomy)))
        files = (path,) if likely is None else (path, likely)
        digests = tuple(file_hash(file) for file in files)
    except UserError as error:
        return _Look(problem=Problem(kind, str(error)))
    except OSError as error:
        return _Look(problem=Problem(kind, f"{path} must be readable. Got: {error.strerror}."))
    if not is_nifti(path) or run.method.nifti_axes is not None:
        return _Look(digests, palette=palette)
    target = data.taxonomy.apply(data.dataset.read_mask(image_id))
    turned = [predicted, *(turn(predicted) for turn in TURNS.values())]
    valid = target != UNLABELLED
    right = tuple(
        int(((prediction == target) & valid).sum()) if prediction.shape == target.shape else 0 for prediction in turned
    )
    return _Look(digests, right=right, labelled=int(valid.sum()))


def _other_palettes(run: ForeignRun, looks: Mapping[str, _Look], colours: IndexColours) -> Iterator[Problem]:
    """Find masks of a method in whose palette an index has another colour than in those before."""
    for image_id, look in looks.items():
        difference = colours.difference(run.masks[image_id], look.palette)
        if difference:
            fix = (
                "Masks are read by index: let `labels` be colours ('#rrggbb'), or save masks in one palette or in grey."
            )
            yield Problem("predictions with other palettes", f"{difference} {fix}")


def _require_ids(path: Path, palette: Palette, labels: LabelMap, data: StudyData, image_id: str) -> None:
    """Refuse a mask without `labels` whose palette has the colours of the classes at other indices than their ids."""
    classes = data.dataset.info.classes
    places = {int(class_.colour[1:], 16): class_.id for class_ in classes}
    truth = read_palette(data.dataset.mask_path(image_id))
    if truth is not None:
        places |= {colour: id_ for id_, colour in reversed(list(enumerate(truth.colours[: len(classes)])))}
    for index, id_ in misplaced(palette, places):
        if labels.table.ids[index] != labels.table.ids[id_]:
            raise UserError(
                f"{path} must hold the ids of the data set, as no `labels` are given. Got index {index} in "
                f"#{palette.colours[index]:06x}, the colour of class {id_} ('{classes[id_].name}'). Give `labels`: "
                "colours ('#rrggbb') if those are right, values if the indices are."
            )


def _require_same_model(path: Path, values: np.ndarray, predicted: np.ndarray) -> None:
    """Refuse probabilities that are not those of the mask; where classes were merged, the sums may differ a little."""
    other = float((values.argmax(axis=0) != predicted).mean())
    if other > _OTHER_MODEL:
        raise UserError(
            f"{path} must hold the probabilities of the mask. The most likely class is another in {other:.0%} of the "
            "pixels. Check the order of the channels and axes, or leave `probabilities` out."
        )


def _turned(run: ForeignRun, looks: Iterable[_Look]) -> list[Problem]:
    """Say so if NIfTI masks agree far better with the truth after a turn: who wrote them counts axes otherwise."""
    turnable = [look for look in looks if look.right]
    labelled = sum(look.labelled for look in turnable)
    if not labelled:
        return []
    right = np.sum([look.right for look in turnable], axis=0) / labelled
    best = int(right.argmax())
    if right[best] < right[0] + _TURNED:
        return []
    name = list(TURNS)[best - 1]
    fix = "Set `nifti_axes: yx`" if name == "its axes swapped" else "Write the files the right way round"
    line = (
        f"{run.name}: its NIfTI masks are right in {right[0]:.0%} of the labelled pixels, and in {right[best]:.0%} "
        f"with {name}. {fix}, or set `nifti_axes: xy` if they are meant as they are."
    )
    return [Problem("runs whose masks seem turned", line)]


def _listing(ids: Sequence[str]) -> str:
    unique = list(dict.fromkeys(ids))
    return ", ".join(unique[:_SHOWN]) + (", ..." if len(unique) > _SHOWN else "")
