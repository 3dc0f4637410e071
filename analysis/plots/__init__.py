"""Figures of an analysed study: one function per kind, each from tidy tables to axes.

from analysis.plots import KINDS, draw
draw("class_dice", Path("results/studies/consep"), Path("dice.pdf"))

Heat maps are drawn by seaborn. Points with intervals are drawn by Matplotlib alone: seaborn computes intervals from raw
values, whereas these stand in the tables of the analysis, over units, seeds and folds, and must not be computed again.
Handing them over as the percentiles of three values takes more lines than drawing them, and loses the marks that are
filled by verdict, and the method and value of each point (`described.part`).
"""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from analysis.plots.attention import draw_attention_maps
from analysis.plots.bias import draw_bias_trajectory, draw_bias_vs_difficulty
from analysis.plots.borders import draw_border_profile, draw_trimap_curve
from analysis.plots.calibration import draw_calibration
from analysis.plots.confusion import draw_confusion
from analysis.plots.difficulty import draw_frequency_difficulty_plane
from analysis.plots.distributions import draw_profiles, draw_significance_map, draw_tradeoffs
from analysis.plots.gallery import draw_gallery
from analysis.plots.interventions import draw_interventions
from analysis.plots.learning import draw_learning_curves
from analysis.plots.ledger import draw_ledger_heatmap, draw_prior_to_final
from analysis.plots.models import draw_model_effects
from analysis.plots.path_controls import draw_path_controls
from analysis.plots.ranks import draw_critical_difference, draw_ranks
from analysis.plots.regions import draw_practical_differences
from analysis.plots.scores import draw_class_dice, draw_paired_differences
from analysis.plots.style import figure_style, save
from analysis.plots.tuning import draw_tuning
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from imbalance_bench.errors import UserError, nearest

__all__ = [
    "KINDS",
    "SUFFIXES",
    "AnalysedStudy",
    "NotDrawableError",
    "draw",
    "draw_figure",
    "require_suffix",
    "write_figure",
]

KINDS: dict[str, Callable[[AnalysedStudy], Figure]] = {
    "attention_maps": draw_attention_maps,
    "bias_trajectory": draw_bias_trajectory,
    "bias_vs_difficulty": draw_bias_vs_difficulty,
    "border_profile": draw_border_profile,
    "calibration": draw_calibration,
    "class_dice": draw_class_dice,
    "confusion": draw_confusion,
    "critical_difference": draw_critical_difference,
    "frequency_difficulty_plane": draw_frequency_difficulty_plane,
    "gallery": draw_gallery,
    "interventions": draw_interventions,
    "learning_curves": draw_learning_curves,
    "ledger_heatmap": draw_ledger_heatmap,
    "model_effects": draw_model_effects,
    "paired_differences": draw_paired_differences,
    "path_controls": draw_path_controls,
    "practical_differences": draw_practical_differences,
    "prior_to_final": draw_prior_to_final,
    "profiles": draw_profiles,
    "ranks": draw_ranks,
    "significance_map": draw_significance_map,
    "tradeoffs": draw_tradeoffs,
    "trimap_curve": draw_trimap_curve,
    "tuning": draw_tuning,
}
SUFFIXES = (".svg", ".pdf", ".png")


def draw_figure(kind: str, study: AnalysedStudy) -> Figure:
    """Draw one kind of figure.

    Raises:
        UserError: There is no such kind.
        NotDrawableError: This study cannot have it; the message says why.
    """
    if kind not in KINDS:
        raise UserError(f"The kind of a plot must be known. Got '{kind}'.{nearest(kind, KINDS)}")
    with figure_style():
        return KINDS[kind](study)


def draw(kind: str, study_root: Path, out: Path | None = None) -> Path:
    """Draw one kind of figure of an analysed study into a file.

    Args:
        kind: A key of `KINDS`.
        study_root: The study directory, after `imbalance-bench analyze`.
        out: An .svg, .pdf or .png file; default `<study_root>/figures/<kind>.svg`.

    Returns:
        The file written.

    Raises:
        UserError: Unknown kind or suffix, or a study that was not analysed.
        NotDrawableError: This study cannot have the figure; the message says why.
    """
    return write_figure(kind, AnalysedStudy.open(Path(study_root)), out)


def write_figure(kind: str, study: AnalysedStudy, out: Path | None = None) -> Path:
    """Draw the same of a study that is open, and return the file."""
    target = Path(out) if out is not None else study.root / "figures" / f"{kind}.svg"
    require_suffix(target)
    return save(draw_figure(kind, study), target)


def require_suffix(target: Path) -> None:
    """Refuse a file that no figure can be written to.

    Raises:
        UserError: It has another suffix than `SUFFIXES`.
    """
    if target.suffix.lower() not in SUFFIXES:
        raise UserError(f"A figure must be one of {', '.join(SUFFIXES)}. Got '{target}'. Change the suffix.")
