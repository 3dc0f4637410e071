"""Several data sets together: how probable a practical difference is in one more of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.statistics.hierarchical import Posterior, posterior_over_data_sets, prior_shift
from analysis.statistics.posterior_regions import StudentForm
from analysis.verdicts import margin_text, points

FEW = 5  # data sets below which the prior of the spread between them says much


@dataclass(frozen=True)
class PracticalComparison:
    """One method against one control over data sets.

    Args:
        method: Label.
        control: Label.
        data_sets: Names.
        posterior: Of the mean over data sets and the spread between them.
        prior_shift: Most that a probability changes where the scale of the prior is halved or doubled.
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
        found, mean, most = self.posterior, self.posterior.of_mean(), self.posterior.most_probable()
        one_more = found.of_next()
        row: dict[str, object] = {"method": self.method, "control": self.control, "n_data_sets": len(self.data_sets)}
        row |= {"margin": found.margin}
        row |= dict(zip(("mean", "mean_low", "mean_high"), found.mean_interval(), strict=True))
        row |= dict(zip(("spread", "spread_low", "spread_high"), found.spread_interval(), strict=True))
        for name, of in (("next", one_more), ("mean", mean), ("most", most)):
            row |= {f"{name}_worse": of.worse, f"{name}_equivalent": of.equivalent, f"{name}_better": of.better}
        return row | {"prior_shift": self.prior_shift}

    @property
    def sentence(self) -> str:
        """What is to be expected of one more data set; it decides nothing."""
        found, one_more = self.posterior, self.posterior.of_next()
        mean, low, high = found.mean_interval()
        n = len(self.data_sets)
        few = f"; with {n} data sets the prior says much" if n < FEW else ""
        return (
            f"{self.title}, in one more data set: posterior probability {one_more.worse:.2f} of worse, "
            f"{one_more.equivalent:.2f} of equivalent within {margin_text(found.margin)}, {one_more.better:.2f} of "
            f"better (mean over {n} data sets {points(mean)}, {points(low)} to {points(high)}; halving or doubling the "
            f"prior's scale changes these by up to {self.prior_shift:.2f}{few})."
        )


def practical_comparisons(rows: pd.DataFrame, margin: float) -> list[PracticalComparison]:
    """Put the posteriors of single data sets together.

    Args:
        rows: Macro rows of practical_differences.csv of distinct data sets, with a column `study`.
        margin: Half width of the region of practical equivalence.

    Returns:
        One for each pair of methods that two data sets or more compared.
    """
    known = rows[(rows["error"] > 0) & rows["degrees"].notna()]
    found = []
    for (method, control), part in known.groupby(["method", "control"], sort=False):
        if part["study"].nunique() < 2:
            continue
        forms = [StudentForm(*each) for each in part[["centre", "error", "degrees"]].itertuples(index=False)]
        names = tuple(str(each) for each in part["study"])
        posterior = posterior_over_data_sets(forms, margin)
        found.append(PracticalComparison(str(method), str(control), names, posterior, prior_shift(forms, margin)))
    return found


def practical_table(found: Sequence[PracticalComparison]) -> pd.DataFrame:
    """Return the rows of all comparisons as one frame."""
    return pd.DataFrame([each.row for each in found])
