"""Several data sets together: the probability of a practical difference in one more data set."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.statistics.hierarchical import Posterior, posterior_over_data_sets, prior_shift
from analysis.statistics.posterior_regions import StudentForm
from analysis.verdicts import margin_text, points

FEW = 5  # with fewer data sets, the prior of the spread between them has much weight


@dataclass(frozen=True)
class PracticalComparison:
    """One method against one control over data sets.

    Args:
        method: Label.
        control: Label.
        data_sets: Names of the data sets.
        posterior: Posterior of the mean over data sets and of the spread between them.
        prior_shift: Largest change of a probability if the scale of the prior is halved or doubled.
    """

    method: str
    control: str
    data_sets: tuple[str, ...]
    posterior: Posterior
    prior_shift: float

    @property
    def title(self) -> str:
        """Both labels."""
        return f"{self.method} against {self.control}"

    @property
    def row(self) -> dict[str, object]:
        """One row of practical_differences.csv of `compare`."""
        posterior, mean, most_probable = self.posterior, self.posterior.of_mean(), self.posterior.most_probable()
        one_more = posterior.of_next()
        row: dict[str, object] = {"method": self.method, "control": self.control, "n_data_sets": len(self.data_sets)}
        row |= {"margin": posterior.margin}
        row |= dict(zip(("mean", "mean_low", "mean_high"), posterior.mean_interval(), strict=True))
        row |= dict(zip(("spread", "spread_low", "spread_high"), posterior.spread_interval(), strict=True))
        for name, regions in (("next", one_more), ("mean", mean), ("most", most_probable)):
            probabilities = {"worse": regions.worse, "equivalent": regions.equivalent, "better": regions.better}
            row |= {f"{name}_{region}": p for region, p in probabilities.items()}
        return row | {"prior_shift": self.prior_shift}

    @property
    def sentence(self) -> str:
        """What to expect of one more data set; it decides nothing."""
        posterior, one_more = self.posterior, self.posterior.of_next()
        mean, low, high = posterior.mean_interval()
        n = len(self.data_sets)
        caution = f"; with {n} data sets the prior says much" if n < FEW else ""
        return (
            f"{self.title}, in one more data set: posterior probability {one_more.worse:.2f} of worse, "
            f"{one_more.equivalent:.2f} of equivalent within {margin_text(posterior.margin)}, {one_more.better:.2f} of "
            f"better (mean over {n} data sets {points(mean)}, {points(low)} to {points(high)}; halving or doubling the "
            f"prior's scale changes these by up to {self.prior_shift:.2f}{caution})."
        )


def practical_comparisons(rows: pd.DataFrame, margin: float) -> list[PracticalComparison]:
    """Combine the posteriors of single data sets.

    Args:
        rows: Macro rows of practical_differences.csv of distinct data sets, with a column `study`.
        margin: Half width of the region of practical equivalence.

    Returns:
        One for each pair of methods that at least two data sets compared.
    """
    usable = rows[(rows["error"] > 0) & rows["degrees"].notna()]
    comparisons = []
    for (method, control), part in usable.groupby(["method", "control"], sort=False):
        if part["study"].nunique() < 2:
            continue
        forms = [StudentForm(*row) for row in part[["centre", "error", "degrees"]].itertuples(index=False)]
        names = tuple(str(name) for name in part["study"])
        posterior = posterior_over_data_sets(forms, margin)
        comparisons.append(PracticalComparison(str(method), str(control), names, posterior, prior_shift(forms, margin)))
    return comparisons


def practical_table(comparisons: Sequence[PracticalComparison]) -> pd.DataFrame:
    """Return the rows of all comparisons as one frame."""
    return pd.DataFrame([comparison.row for comparison in comparisons])
