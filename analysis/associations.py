"""What the learned bias follows: every estimand against every measure, with corrections and verdicts."""

import numpy as np
import pandas as pd

from analysis.association import rank_association
from analysis.bias import ESTIMANDS, PRIMARY_ESTIMANDS, class_means
from analysis.permutation import benjamini_hochberg, holm
from analysis.tables import AnalysisPlan
from imbalance_bench.seeding import generator


def associate(bias: pd.DataFrame, measures: pd.DataFrame, plan: AnalysisPlan) -> pd.DataFrame:
    """Correlate every estimand of every method with every measure over the classes.

    Args:
        bias: Table `learned_bias`.
        measures: Table `measures`.
        plan: The plan.

    Returns:
        Table `associations` without `verdict`, and in addition p_adjusted (p_holm or p_bh) and family, the number of
        tests corrected together.
    """
    rows = []
    grid = measures.pivot(index="class_id", columns="measure", values="value") if len(measures) else pd.DataFrame()
    kinds = measures.drop_duplicates("measure").set_index("measure")
    for method, estimand in _pairs(bias):
        x = class_means(bias, method, estimand, len(grid))
        for measure, kind in kinds.iterrows():
            rng = generator(plan.seed, "association", method, estimand, str(measure))
            found = rank_association(
                x, grid[measure].to_numpy(dtype=float), alpha=plan.alpha, permutations=plan.permutations, rng=rng
            )
            primary = bool(kind["primary"]) and estimand in PRIMARY_ESTIMANDS
            row = {"method": method, "estimand": estimand, "construct": kind["construct"], "measure": measure}
            row |= {"primary": primary, "n_classes": found.n, "spearman": found.spearman, "kendall": found.kendall}
            row |= {"p_spearman": found.p_spearman, "p_kendall": found.p_kendall}
            rows.append(row | {"min_p": found.min_p, "rho_needed": found.rho_needed})
    return _corrected(pd.DataFrame(rows, columns=_COLUMNS))


_COLUMNS = [
    *("method", "estimand", "construct", "measure", "primary", "n_classes", "spearman", "kendall", "p_spearman"),
    *("p_kendall", "min_p", "rho_needed"),
]


def _pairs(bias: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the methods and estimands there are, estimands in their fixed order."""
    methods = bias["method"].unique()
    there = set(zip(bias["method"], bias["estimand"], strict=True))
    return [(method, estimand) for method in methods for estimand in ESTIMANDS if (method, estimand) in there]


def _corrected(frame: pd.DataFrame) -> pd.DataFrame:
    """Add Holm within the primary measures of a method and estimand, Benjamini-Hochberg over the rest."""
    frame = frame.assign(p_holm=np.nan, p_bh=np.nan, family=0)
    primary = frame["primary"].astype(bool)
    for _, part in frame[primary].groupby(["method", "estimand"], sort=False):
        frame.loc[part.index, "p_holm"] = holm(part["p_spearman"].to_numpy(dtype=float))
        frame.loc[part.index, "family"] = int(part["p_spearman"].notna().sum())
    rest = frame.index[~primary]
    frame.loc[rest, "p_bh"] = benjamini_hochberg(frame.loc[rest, "p_spearman"].to_numpy(dtype=float))
    frame.loc[rest, "family"] = 1
    return frame.assign(p_adjusted=frame["p_holm"].fillna(frame["p_bh"]))
