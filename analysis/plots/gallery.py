"""Images, truth and predictions side by side, for images chosen by a rule, not by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from analysis.plots.style import freeze_layout, new_figure, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import BAND, MUTED
from imbalance_bench.damage import is_whole
from imbalance_bench.data.pictures import read_class_ids
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import UNLABELLED, Taxonomy
from imbalance_bench.errors import UserError
from imbalance_bench.records import RunRecord

SHOWN_SIDE_PX = 360
RULE = (
    "Best, median and worst of the {n} test images with saved predictions of every method, by the macro Dice of "
    "{control} on the image (fold {fold}, seed {seed}); classes that neither occur nor are predicted do not count. "
    "Below each prediction, its errors: wrong pixels in the colour of their true class."
)


@dataclass(frozen=True)
class GalleryRow:
    """One image of the gallery.

    Args:
        label: Text left of the row.
        image: (H, W, 3) uint8.
        truth: (H, W) uint8 of class indices, 255 where unlabelled.
        predictions: Method -> (H, W) uint8 of class indices.
    """

    label: str
    image: np.ndarray
    truth: np.ndarray
    predictions: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class GalleryRuns:
    """The runs of the gallery: one per method, of the same fold and seed, as far as finished.

    Args:
        fold: Fold.
        seed: Seed.
        runs: Method -> run.
        control: Method that ranks the images.
        left_out: Sentence on methods for which there is no room; empty if all are shown.
    """

    fold: int
    seed: int
    runs: dict[str, RunRecord]
    control: str
    left_out: str


def gallery(figure: Figure, rows: Sequence[GalleryRow], *, colours: Mapping[str, str]) -> Figure:
    """Draw image, truth and every method's prediction, one row per image, and below each prediction its errors.

    Args:
        figure: An empty figure.
        rows: What to show, top to bottom; each with the same methods.
        colours: Class -> colour, in the order of the class indices.

    Returns:
        The same figure.
    """
    methods = list(rows[0].predictions)
    grid = figure.subplots(2 * len(rows), 2 + len(methods), squeeze=False)
    palette = list(colours.values())
    for axes_row, error_row, row in zip(grid[::2], grid[1::2], rows, strict=True):
        masks = [row.truth, *(row.predictions[method] for method in methods)]
        show(axes_row[0], shrink_image(row.image))
        for axes, mask in zip(axes_row[1:], masks, strict=True):
            show(axes, paint(_shrink_mask(mask), palette))
        axes_row[0].set_ylabel(row.label, fontsize=8)
        for axes in error_row[:2]:
            axes.set_axis_off()
        for axes, method in zip(error_row[2:], methods, strict=True):
            wrong = errors(row.truth, row.predictions[method])
            show(axes, paint(_shrink_mask(wrong), palette))
            axes.set_xlabel(f"{np.mean(wrong[row.truth != UNLABELLED] != UNLABELLED):.1%} wrong", fontsize=7)
    for axes, title in zip(grid[0], ["image", "truth", *methods], strict=True):
        axes.set_title(wrapped(title, 18), fontsize=8, loc="center")
    handles = [Patch(facecolor=colour, label=wrapped(name, 24, 1)) for name, colour in colours.items()]
    handles.append(Patch(facecolor=BAND, edgecolor=MUTED, linewidth=0.5, label="unlabelled, or right"))
    columns = max(2, min(len(handles), int(figure.get_figwidth() / 1.7)))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=1.0, handleheight=1.0)
    return figure


def paint(mask: np.ndarray, colours: Sequence[str]) -> np.ndarray:
    """Return (H, W, 3) uint8 of class colours; unlabelled pixels are pale grey."""
    palette = np.tile(np.array(to_rgb(BAND)), (256, 1))
    palette[: len(colours)] = [to_rgb(colour) for colour in colours]
    return (palette[mask] * 255).round().astype(np.uint8)


def errors(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return (H, W) uint8: the true class where the prediction is wrong, UNLABELLED elsewhere."""
    return np.where((truth != predicted) & (truth != UNLABELLED), truth, UNLABELLED).astype(np.uint8)


def macro_dice_per_image(counts: pd.DataFrame) -> pd.Series:
    """Return the macro Dice of each test image, over the classes that occur in it or are predicted.

    Args:
        counts: One run's counts table (table_schemas.COUNTS).
    """
    tested = counts[counts["split"] == ("test" if (counts["split"] == "test").any() else "val")]
    size = 2 * tested["tp"] + tested["fp"] + tested["fn"]
    dice = (2 * tested["tp"] / size).where(size > 0)
    return dice.groupby(tested["image_id"]).mean()


def chosen_images(dice: pd.Series) -> list[tuple[str, str]]:
    """Return ("best", id), ("median", id), ("worst", id); fewer where there are fewer images."""
    ids = [str(image_id) for image_id in dice.dropna().sort_index().sort_values(ascending=False, kind="stable").index]
    ranks = {"best": 0, "median": (len(ids) - 1) // 2, "worst": len(ids) - 1}
    chosen: dict[str, str] = {}
    for word, rank in ranks.items():
        if ids and ids[rank] not in chosen.values():
            chosen[word] = ids[rank]
    return list(chosen.items())


def gallery_runs(study: AnalysedStudy) -> GalleryRuns:
    """Choose the first fold and seed for which the control and most methods finished.

    Raises:
        NotDrawableError: No run finished.
    """
    finished = study.table("runs")
    finished = finished[finished["state"] == "done"]
    if finished.empty:
        raise NotDrawableError("No run is finished, so there are no predictions to show.")
    controls = [method for method in study.methods if method in set(finished["method"])]
    control = controls[0]
    keys = finished.loc[finished["method"] == control, ["fold", "seed"]].drop_duplicates()
    n_methods = finished.groupby(["fold", "seed"])["method"].nunique()
    best = keys.assign(n=[n_methods.loc[(fold, seed)] for fold, seed in keys.itertuples(index=False)])
    fold, seed = best.sort_values(["n", "fold", "seed"], ascending=[False, True, True])[["fold", "seed"]].iloc[0]
    rows = (
        finished[(finished["fold"] == fold) & (finished["seed"] == seed)].drop_duplicates("method").set_index("method")
    )
    methods, left_out = study.shown([method for method in controls if method in rows.index])
    runs = {method: study.records.run(str(rows.loc[method, "run_id"])) for method in methods}
    return GalleryRuns(int(fold), int(seed), runs, control, left_out)


def gallery_rows(study: AnalysedStudy) -> tuple[list[GalleryRow], str]:
    """Read the images of the gallery.

    Returns:
        The rows, and a sentence on how the images were chosen.

    Raises:
        NotDrawableError: The data set or the predictions no longer exist.
    """
    chosen = gallery_runs(study)
    try:
        dice = macro_dice_per_image(chosen.runs[chosen.control].counts())
        dataset = PreparedDataset.open(study.root / str(study.dataset["path"]))
        merging = study.dataset.get("merging", {})
        taxonomy = Taxonomy(dataset.info, merging.get("groups"), merging.get("ignore", ()), merging.get("order", ()))
    except UserError as error:
        raise NotDrawableError(f"The data set or the control's records cannot be read: {error}") from error
    saved = [
        image_id
        for image_id in dice.index
        if all(is_whole(run.prediction_path(str(image_id))) for run in chosen.runs.values())
    ]
    if not saved:
        raise NotDrawableError("No test image has saved predictions of every method, so there is nothing to show.")
    rows = []
    for word, image_id in chosen_images(dice[saved]):
        predictions = {method: read_class_ids(run.prediction_path(image_id)) for method, run in chosen.runs.items()}
        label = f"{word}\n{wrapped(image_id, 18, 2)}\n{chosen.control} {dice[image_id]:.2f}"
        truth = taxonomy.apply(dataset.read_mask(image_id))
        rows.append(GalleryRow(label, dataset.read_image(image_id), truth, predictions))
    if not rows:
        raise NotDrawableError("No scored image contains a class, so none is better than another.")
    rule = RULE.format(n=len(saved), control=chosen.control, fold=chosen.fold, seed=chosen.seed)
    return rows, f"{rule} {chosen.left_out}".strip()


def draw_gallery(study: AnalysedStudy) -> Figure:
    """Draw the best, the median and the worst test image of the control."""
    rows, rule = gallery_rows(study)
    columns = 2 + len(rows[0].predictions)
    width = 0.8 + 1.45 * columns
    figure = new_figure(min(12.0, width), 0.9 + (2.95 * min(1.0, 12 / width) + 0.1) * len(rows))
    gallery(figure, rows, colours=study.class_colour)
    figure.set_label(rule)  # the report's caption
    freeze_layout(figure)
    return figure


def show(axes: Axes, picture: np.ndarray) -> Axes:
    """Draw a picture without ticks, grid or frame."""
    axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return axes


def shrink_image(image: np.ndarray) -> np.ndarray:
    """Reduce an image to its size in the figure."""
    picture = Image.fromarray(image)
    picture.thumbnail((SHOWN_SIDE_PX, SHOWN_SIDE_PX))
    return np.asarray(picture)


def _shrink_mask(mask: np.ndarray) -> np.ndarray:
    stride = max(1, -(-max(mask.shape) // SHOWN_SIDE_PX))
    return mask[::stride, ::stride]
