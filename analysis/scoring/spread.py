"""How much the differences between methods vary over slides and over seeds."""

from dataclasses import dataclass

import numpy as np

from analysis.scoring.comparisons import unit_contributions
from analysis.scoring.pairs import compared_methods, study_pairing
from analysis.scoring.units import method_units
from analysis.study.runs import AnalysisPlan, StudyTables


@dataclass(frozen=True)
class Spread:
    """Standard deviations of the macro difference of a method and its control, Dice; medians over methods.

    Args:
        slide_sd: Standard deviation over slides.
        seed_sd: Standard deviation over seeds, all slides together.
        noise_sd: Standard deviation of the interaction of seed and slide.
        slides: Slides of the pilot.
        seeds: Seeds of the pilot.
        methods: Methods that were compared with their control, over all models.
        models: Models; each has its own control.
    """

    slide_sd: float
    seed_sd: float
    noise_sd: float
    slides: int
    seeds: int
    methods: int
    models: int = 1


def spread_of(study: StudyTables, plan: AnalysisPlan) -> Spread | None:
    """Estimate the spread of the differences of a study; None with fewer than two slides or seeds."""
    unit = plan.unit_kind(bool(study.dataset.get("groups_known", False)))
    pairing, estimates, used = study_pairing(study, method_units(study, unit), unit), [], set[str]()
    for method, control in compared_methods(study, plan).items():
        pairs = pairing.pair(method, control)
        if pairs is not None and min(pairs.difference.shape[:2]) > 1:
            macro = np.stack([unit_contributions(by_unit)[:, -1] for by_unit in pairs.difference])  # (S, U)
            estimates.append((components(macro), macro.shape))
            used.add(control)
    if not estimates:
        return None
    sds = np.median([sds for sds, _ in estimates], axis=0)
    seeds, slides = np.max([shape for _, shape in estimates], axis=0)
    sizes = {"slides": int(slides), "seeds": int(seeds), "methods": len(estimates), "models": len(used)}
    return Spread(*(float(sd) for sd in sds), **sizes)


def components(values: np.ndarray) -> tuple[float, float, float]:
    """Return the standard deviations over slides, over seeds and of their interaction, by the method of moments.

    Args:
        values: (S, U) float64.

    Source:
        Two-way random effects without replication, such as Searle, Casella and McCulloch 1992, section 4.4.
    """
    seeds, slides = values.shape
    of_slides, of_seeds, mean = values.mean(axis=0), values.mean(axis=1), values.mean()
    residuals = values - of_slides - of_seeds[:, None] + mean
    together = (residuals**2).sum() / ((seeds - 1) * (slides - 1))
    over_slides = max(of_slides.var(ddof=1) - together / seeds, 0.0)
    over_seeds = max(of_seeds.var(ddof=1) - together / slides, 0.0)
    return float(np.sqrt(over_slides)), float(np.sqrt(over_seeds)), float(np.sqrt(together))
