"""Maps of the attention to each class in an image."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

from analysis.plots.gallery import chosen_images, gallery_runs, macro_dice_per_image, show, shrink_image
from analysis.plots.style import freeze_layout, new_figure, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import MUTED
from imbalance_bench.damage import is_whole
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.errors import UserError
from imbalance_bench.records import AttentionMaps

RULE = (
    "Image {image}, the median of the {n} test images with stored attention, by the macro Dice of {control} (fold "
    "{fold}, seed {seed}). White is no attention; the full colour of a class is the value below its map, the greatest "
    "of all methods on this image."
)


def attention_map(axes: Axes, weights: np.ndarray, *, colour: str, greatest: float) -> Axes:
    """Draw the attention of each position to one class.

    Args:
        axes: Where to draw.
        weights: (h, w) attention, 0 to 1.
        colour: Colour of the class.
        greatest: Attention that is drawn in the full colour.

    Returns:
        The same axes.
    """
    scale = LinearSegmentedColormap.from_list("attention", ["#ffffff", to_rgb(colour)])
    picture = scale(np.clip(weights.astype(float) / max(greatest, 1e-9), 0, 1))[..., :3]
    return show(axes, (picture * 255).round().astype(np.uint8))


def attention_maps(
    figure: Figure, image: np.ndarray, maps: Mapping[str, AttentionMaps], *, colours: Mapping[str, str]
) -> Figure:
    """Draw the image and the attention of every method (rows) to every class (columns).

    Args:
        figure: An empty figure.
        image: (H, W, 3) uint8.
        maps: Method -> attention.
        colours: Class -> colour, in the order of the class indices.

    Returns:
        The same figure.
    """
    grid = figure.subplots(len(maps), 1 + len(colours), squeeze=False)
    cut = {method: _inside(attention, image.shape[:2]) for method, attention in maps.items()}
    greatest = np.max([weights.max(axis=(1, 2)) for weights in cut.values()], axis=0).astype(float)
    for axes_row, (method, weights) in zip(grid, cut.items(), strict=True):
        show(axes_row[0], shrink_image(image))
        axes_row[0].set_ylabel(wrapped(method, 16, 3), fontsize=8)
        for axes, colour, of_class, most in zip(axes_row[1:], colours.values(), weights, greatest, strict=True):
            attention_map(axes, of_class, colour=colour, greatest=most)
    grid[0, 0].set_title("image", fontsize=8, loc="center")
    for axes, below, name, most in zip(grid[0, 1:], grid[-1, 1:], colours, greatest, strict=True):
        axes.set_title(wrapped(name, 15, 3), fontsize=7.5, loc="center")
        below.set_xlabel(f"{most:.2f}", fontsize=7, color=MUTED)
    return figure


def draw_attention_maps(study: AnalysedStudy) -> Figure:
    """Draw the attention on the test image of median Dice, for every method that has class tokens."""
    chosen = gallery_runs(study)
    try:
        dice = macro_dice_per_image(chosen.runs[chosen.control].counts())
        dataset = PreparedDataset.open(study.root / str(study.dataset["path"]))
        methods = [
            method
            for method, run in chosen.runs.items()
            if any(is_whole(run.attention_path(str(image_id))) for image_id in dice.index)
        ]
        image_ids = [
            image_id
            for image_id in dice.index
            if all(is_whole(chosen.runs[method].attention_path(str(image_id))) for method in methods)
        ]
        if not methods or not image_ids:
            raise NotDrawableError("No finished run kept attention maps, so there is nothing to draw.")
        image_id = dict(chosen_images(dice[image_ids])).get("median") or str(image_ids[0])
        image = dataset.read_image(image_id)
        recorded = {method: chosen.runs[method].attention(image_id) for method in methods}
    except NotDrawableError:
        raise
    except UserError as error:
        raise NotDrawableError(f"The data set or the control's records cannot be read: {error}") from error
    maps = {method: attention for method, attention in recorded.items() if attention is not None}
    figure = new_figure(*_size(len(maps), 1 + len(study.class_names)))
    attention_maps(figure, image, maps, colours=study.class_colour)
    rule = RULE.format(image=image_id, n=len(image_ids), control=chosen.control, fold=chosen.fold, seed=chosen.seed)
    figure.set_label(f"{rule} {chosen.left_out}".strip())
    freeze_layout(figure)
    return figure


def _size(rows: int, columns: int) -> tuple[float, float]:
    side = 1.3 if columns <= 9 else 0.95
    return 0.7 + side * columns, 0.85 + side * rows


def _inside(maps: AttentionMaps, size: Sequence[int]) -> np.ndarray:
    """Drop the last row and column where they reach beyond the image."""
    rows, columns = (max(1, round(edge / maps.stride_px)) for edge in size)
    return maps.weights[:, :rows, :columns]
