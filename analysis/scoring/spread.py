"""How much the differences between methods vary over slides, seeds and folds."""

from dataclasses import dataclass

import numpy as np

from analysis.scoring.comparisons import unit_contributions
from analysis.scoring.image_rows import Folds
from analysis.scoring.pairs import compared_methods, study_pairing
from analysis.scoring.units import method_units
from analysis.study.runs import AnalysisPlan, StudyTables


@dataclass(frozen=True)
class Spread:
    """Standard deviations of the macro difference of a method and its control, Dice; medians over methods.

    Args:
        slide_sd: Standard deviation over slides; under cross-validation within a fold.
        seed_sd: Standard deviation over seeds, all slides together.
        noise_sd: Standard deviation of the interaction of seed and slide.
        slides: Slides of the pilot.
        seeds: Seeds of the pilot.
        methods: Methods that were compared with their control, over all models.
        models: Models; each has its own control.
        fold_sd: Standard deviation over folds, beyond what their slides make of it, seeds averaged: what training sets
            add; 0 where there is none to estimate.
        folds: Folds of the pilot that test other slides each; 1 without cross-validation.
    """

    slide_sd: float
    seed_sd: float
    noise_sd: float
    slides: int
    seeds: int
    methods: int
    models: int = 1
    fold_sd: float = 0.0
    folds: int = 1

    @property
    def fold_error_of_slides(self) -> float:
        """Standard deviation over folds that their slides make, Dice, seeds averaged."""
        return float(np.sqrt((self.slide_sd**2 + self.noise_sd**2 / self.seeds) * self.folds / self.slides))


def n_folds(folds: Folds | None) -> int:
    """Return the number of folds that together test each unit once; 1 without cross-validation."""
    return 1 if folds is None or folds.test_same_units else folds.of_one_division


def spread_of(study: StudyTables, plan: AnalysisPlan) -> Spread | None:
    """Estimate the spread of the differences of a study; None with fewer than two slides or seeds."""
    unit = plan.unit_kind(bool(study.dataset.get("groups_known", False)))
    pairing, estimates, used = study_pairing(study, method_units(study, unit), unit), [], set[str]()
    for method, control in compared_methods(study, plan).items():
        pairs = pairing.pair(method, control)
        if pairs is not None and min(pairs.difference.shape[:2]) > 1:
            macro = np.stack([unit_contributions(by_unit)[:, -1] for by_unit in pairs.difference])  # (S, U)
            fold_of_unit = None if pairs.folds is None else pairs.folds.of_units
            estimates.append((components(macro, fold_of_unit), (*macro.shape, n_folds(pairs.folds))))
            used.add(control)
    if not estimates:
        return None
    sds = np.median([sds for sds, _ in estimates], axis=0)
    slide_sd, seed_sd, noise_sd, fold_sd = (float(sd) for sd in sds)
    seeds, slides, folds = map(int, np.max([shape for _, shape in estimates], axis=0))
    return Spread(slide_sd, seed_sd, noise_sd, slides, seeds, len(estimates), len(used), fold_sd, folds)


def components(values: np.ndarray, fold_of_unit: np.ndarray | None = None) -> tuple[float, float, float, float]:
    """Return the standard deviations over slides, over seeds, of their interaction, and over folds, by moments.

    Slides are nested in folds: their deviation is that within a fold, and the one over folds is what is left of the
    variance between the means of folds, seeds averaged, after the slides' share of it.

    Args:
        values: (S, U) float64.
        fold_of_unit: (U,) int, the fold that tested each slide; None without folds, or where they share slides. Folds
            of one slide each say nothing of themselves.

    Source:
        Random effects, two-way without replication and nested, such as Searle, Casella and McCulloch 1992, sections
        4.4 and 3.6.
    """
    seeds, slides = values.shape
    of_slides, of_seeds, mean = values.mean(axis=0), values.mean(axis=1), values.mean()
    residuals = values - of_slides - of_seeds[:, None] + mean
    together = (residuals**2).sum() / ((seeds - 1) * (slides - 1))
    within, over_folds = _within_and_over_folds(of_slides, fold_of_unit)
    over_slides = max(within - together / seeds, 0.0)
    over_seeds = max(of_seeds.var(ddof=1) - together / slides, 0.0)
    return float(np.sqrt(over_slides)), float(np.sqrt(over_seeds)), float(np.sqrt(together)), float(np.sqrt(over_folds))


def _within_and_over_folds(of_slides: np.ndarray, fold_of_unit: np.ndarray | None) -> tuple[float, float]:
    """Return the variance of slides within a fold, and that of folds beyond it; the latter is 0 without folds."""
    n = 1 if fold_of_unit is None else len(np.unique(fold_of_unit))
    if fold_of_unit is None or n < 2 or n == len(of_slides):
        return float(of_slides.var(ddof=1)), 0.0
    members = [of_slides[fold_of_unit == fold] for fold in np.unique(fold_of_unit)]
    within = sum(((each - each.mean()) ** 2).sum() for each in members) / (len(of_slides) - n)
    between = np.var([each.mean() for each in members], ddof=1)
    return float(within), max(float(between - within * np.mean([1 / len(each) for each in members])), 0.0)
