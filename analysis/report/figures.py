"""Figures of the report: written as files, and inlined in the page."""

from dataclasses import dataclass
from pathlib import Path

from analysis.plots import KINDS, SUFFIXES, AnalysedStudy, NotDrawableError, draw_figure
from analysis.plots.inline import inline_svg
from analysis.plots.style import save

CAPTIONS: dict[str, tuple[str, str]] = {
    "paired_differences": (
        "Difference to the control",
        "Method minus control, in Dice. Bars are 95 % intervals; filled marks have the verdict better or worse, hollow "
        "ones are open or equivalent; the grey band is the region of practical equivalence.",
    ),
    "class_dice": (
        "Dice per class",
        "One dot per method with its 95 % interval; the top row is the mean over the classes that occur.",
    ),
    "model_effects": (
        "Effects of methods under each model",
        "Method minus control, in Dice, with 95 % intervals, once per model. Whether effects differ is tested below.",
    ),
    "ranks": (
        "Stability of the order",
        "Ranks of macro Dice with 95 % intervals over resampled units and seeds, and how often each method came first. "
        "Ranks are a description; whether two methods differ is tested above.",
    ),
    "significance_map": (
        "Every pair of methods",
        "Blue: the method of the row is ahead. A dot marks differences that survive Holm's correction over all pairs.",
    ),
    "practical_differences": (
        "How probable a practical difference is",
        "The closer a method is to a corner, the more probable it is that it is worse or better than the control by "
        "more than the margin of the plan, or equivalent within it. In the middle, the data do not decide. No prior "
        "is added. This is a description and does not affect any verdict.",
    ),
    "profiles": (
        "How many images are segmented how well",
        "Share of units whose Dice reaches a value, with 95 % bands. A curve that lies above another everywhere is "
        "better on hard and on easy units; a mean hides curves that cross.",
    ),
    "tradeoffs": (
        "What recall gained and precision lost",
        "Against the control, with uncorrected 95 % intervals. Lower right: more of the class is found, but more of "
        "its predicted pixels are wrong. Filled: precision is shown to be lost, and Dice did not gain.",
    ),
    "critical_difference": ("Critical difference", ""),
    "confusion": (
        "What is taken for what",
        "Rows are true classes and sum to 100 %, seeds pooled; shares below half a per cent are left blank.",
    ),
    "calibration": (
        "Are the probabilities what they say?",
        "Share of pixels that belong to a class against the predicted probability, in 15 bins, over all labelled "
        "pixels. On the dashed line the probability is right; below it, it is too large. The first panel counts each "
        "pixel by its predicted class. The strips show pixels per bin on a logarithmic scale; bins with fewer than two "
        "units are not drawn above.",
    ),
    "trimap_curve": (
        "Errors around borders",
        "Share of wrong pixels in rings around the true borders; each tick names the outer end of its ring.",
    ),
    "border_profile": (
        "Stain across the border",
        "Mean optical density of haematoxylin and eosin against the distance to the border of the class. Bands are "
        "95 % intervals over training groups. A flat profile means that the stain does not show the border.",
    ),
    "interventions": (
        "What the bias does",
        "The same trained model with its bias changed, on the same images. Left of zero, the bias as trained was "
        "better. Filled marks have the verdict better or worse. The effect is causal for the model, not for tissue.",
    ),
    "path_controls": (
        "Is the class attention read?",
        "How often a class is predicted after a dose was added to its attention bias (solid) or to its output logit "
        "(dashed), mean over models, on the same images. The dashed curve shows that the measurement works; a flat "
        "solid curve then shows that a bias of this size has no effect.",
    ),
    "attention_maps": ("What attends to which class", ""),
    "learning_curves": (
        "Learning curves",
        "Thin lines are runs, thick lines the mean of a method. Validation Dice is pooled over the validation images.",
    ),
    "bias_vs_difficulty": (
        "What the bias follows",
        "One point per class: the mean over seeds and folds. Small dots are runs, and the bar spans their range. Rows "
        "are the two primary estimands, columns the primary measure of each construct.",
    ),
    "prior_to_final": (
        "From prior to final",
        "Rings are where the bias of a class started, dots where it ended, small dots single runs.",
    ),
    "bias_trajectory": (
        "The bias over training",
        "As recorded. Thin lines are runs, thick lines their mean; only differences between classes mean something.",
    ),
    "ledger_heatmap": (
        "Class parameters of every method at the end",
        "Numbers are means over runs. Colour compares the classes within one row: blue below, orange above their mean.",
    ),
    "frequency_difficulty_plane": (
        "Frequency and difficulty",
        "The primary measure of each type of difficulty against frequency. Bars are 95 % intervals.",
    ),
    "tuning": (
        "What more trials bring",
        "Left: expected best validation score of n trials (Dodge et al. 2019), over all choices of n of the trials, "
        "which always include the default. Right: test score of the chosen trial, with the seeds of tuning. Hollow: "
        "the default; filled: the winner of all trials.",
    ),
    "gallery": ("Images, truth and predictions", ""),
}


@dataclass(frozen=True)
class ReportFigure:
    """One figure, or the reason why there is none.

    Args:
        kind: Key of `analysis.plots.KINDS`.
        title: Heading.
        caption: Description of the figure.
        svg: Inline SVG.
        missing: Reason why there is no figure; empty if there is one.
    """

    kind: str
    title: str
    caption: str
    svg: str = ""
    missing: str = ""


def make_figures(study: AnalysedStudy, folder: Path) -> dict[str, ReportFigure]:
    """Draw every kind into `folder` as SVG, PDF and PNG; for a kind that cannot be drawn, return the reason."""
    return {kind: _make(kind, study, folder) for kind in KINDS}


def _make(kind: str, study: AnalysedStudy, folder: Path) -> ReportFigure:
    title, caption = CAPTIONS[kind]
    for suffix in SUFFIXES:
        (folder / f"{kind}{suffix}").unlink(missing_ok=True)
    try:
        figure = draw_figure(kind, study)
    except NotDrawableError as reason:
        return ReportFigure(kind, title, caption, missing=str(reason))
    for suffix in SUFFIXES:
        save(figure, folder / f"{kind}{suffix}")
    caption = f"{caption} {figure.get_label() or ''}".strip()
    svg = inline_svg(figure, name=kind, title=title)
    return ReportFigure(kind, title, caption, svg)
