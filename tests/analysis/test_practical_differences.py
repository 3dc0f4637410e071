"""Regions of practical equivalence, on one data set and over several.

Oracles: baycomp (posthoc_python.csv), R's integrate (hierarchical_r.csv), Student's t, the interval that decides.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.plots.regions import save_practical_differences, simplex
from analysis.practical_comparison import practical_comparisons, practical_table
from analysis.statistics.hierarchical import SPREAD_SCALE, posterior_over_data_sets, prior_shift
from analysis.statistics.intervals import Uncertainty, fold_error
from analysis.statistics.posterior_regions import NEARLY_NORMAL, StudentForm, posterior_regions, student_form
from tests.analysis.statistics_golden import POSTHOC_DIFFERENCES, hierarchical_value, posthoc_value


def known(estimate: float, error: float, degrees: float, **other: float) -> Uncertainty:
    return Uncertainty(estimate, error, np.ones(1), np.array([degrees]), **other)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("rope", [0.0, 0.004])
def test_over_folds_it_is_the_correlated_t_test_of_baycomp(rope):
    folds = len(POSTHOC_DIFFERENCES)
    error = fold_error(POSTHOC_DIFFERENCES, 1 / (folds - 1))
    over_folds = Uncertainty(
        float(POSTHOC_DIFFERENCES.mean()), 0.0, np.zeros(1), np.ones(1), fold_error=error, n_folds=folds
    )
    found = posterior_regions(over_folds, rope)
    assert found.worse == pytest.approx(posthoc_value(f"correlated_t_{rope:g}_worse"), abs=2e-6)
    assert found.better == pytest.approx(posthoc_value(f"correlated_t_{rope:g}_better"), abs=2e-6)
    assert found.worse + found.equivalent + found.better == pytest.approx(1)


@pytest.mark.parametrize("centre", [-0.02, 0.0, 0.004, 0.03])
def test_over_units_it_is_students_t(centre):
    found = posterior_regions(known(centre, 0.012, 9), 0.01)
    law = stats.t(9, centre, 0.012)
    expected = law.cdf(-0.01), law.cdf(0.01) - law.cdf(-0.01), law.sf(0.01)
    assert (found.worse, found.equivalent, found.better) == pytest.approx(expected, abs=2e-6)


def test_it_never_contradicts_the_interval():
    both = known(0.02, 0.008, 13, seed_error=0.004, n_seeds=3)
    low, high = both.interval(0.95)
    assert posterior_regions(both, -low).worse == pytest.approx(0.025, abs=1e-5)  # the truth lies below the lower end
    assert posterior_regions(both, high).better == pytest.approx(0.025, abs=1e-5)
    form = student_form(both)
    for level in (0.5, 0.95):
        assert form.error * stats.t.ppf(0.5 + level / 2, form.degrees) == pytest.approx(
            both.half_width(level), rel=1e-6
        )
    assert 2 < form.degrees < 15


def test_students_form_of_one_part_is_that_part_and_of_nothing_is_nothing():
    found = student_form(known(0.01, 0.02, 7, bias=0.0))
    assert (found.centre, found.error, found.degrees) == pytest.approx((0.01, 0.02, 7), rel=1e-6)
    assert np.isnan(student_form(known(0.01, np.nan, 7)).error)
    assert np.isnan(posterior_regions(known(0.01, np.nan, 7), 0.01).equivalent)


def test_eight_schools_as_r_integrates_them():
    y, s = np.array([28, 8, -3, 7, -1, 1, 18, 12]) / 100, np.array([15, 10, 16, 11, 9, 11, 10, 18]) / 100
    schools = [StudentForm(*each, NEARLY_NORMAL) for each in zip(y, s, strict=True)]
    found = posterior_over_data_sets(schools, 0.03, spread_scale=0.05)
    mean, one_more = found.of_mean(), found.of_next()
    assert mean.worse == pytest.approx(hierarchical_value("schools_mean_worse"), abs=2e-4)
    assert mean.better == pytest.approx(hierarchical_value("schools_mean_better"), abs=2e-4)
    assert one_more.worse == pytest.approx(hierarchical_value("schools_next_worse"), abs=2e-4)
    assert one_more.better == pytest.approx(hierarchical_value("schools_next_better"), abs=2e-4)
    above = float(found.mass.sum(axis=0)[found.spreads > 0.1].sum())
    assert above == pytest.approx(hierarchical_value("schools_spread_above_.1"), abs=3e-3)


def test_errors_with_few_degrees_of_freedom_as_r_integrates_them():
    forms = [StudentForm(0.031, 0.010, 5), StudentForm(0.012, 0.006, 13), StudentForm(0.044, 0.020, 2)]
    found = posterior_over_data_sets(forms, 0.01)
    one_more, first = found.of_next(), found.most_probable()
    assert one_more.worse == pytest.approx(hierarchical_value("three_next_worse"), abs=3e-4)
    assert one_more.better == pytest.approx(hierarchical_value("three_next_better"), abs=3e-4)
    assert float(found.mass.sum(axis=1) @ found.means) == pytest.approx(hierarchical_value("three_mean"), abs=3e-5)
    assert first.better == pytest.approx(hierarchical_value("three_first_better"), abs=5e-3)
    assert first.equivalent == pytest.approx(hierarchical_value("three_first_equivalent"), abs=5e-3)


def test_more_data_sets_that_agree_make_it_surer_and_the_prior_weaker():
    two, many = ([StudentForm(0.03, 0.008, 9)] * n for n in (2, 12))
    sure = [posterior_over_data_sets(each, 0.01).of_next().better for each in (two, many)]
    assert sure[0] < 0.9 < sure[1]
    assert prior_shift(many, 0.01) < prior_shift(two, 0.01)
    assert prior_shift(two, 0.01) > 0.03


def test_the_posterior_is_calibrated_on_studies_of_its_own_model():
    """Of data sets drawn as the model says, those given a probability of p turn out so in a share of p."""
    rng, said, seen = np.random.default_rng(4), [], []
    for _ in range(150):
        spread = SPREAD_SCALE * np.tan(np.pi / 2 * rng.random())
        mean = rng.uniform(-0.05, 0.05)
        true = mean + spread * rng.normal(size=4)
        forms = [StudentForm(each + 0.01 * rng.standard_t(8), 0.01, 8) for each in true[:3]]
        said.append(posterior_over_data_sets(forms, 0.01).of_next().better)
        seen.append(true[3] > 0.01)
    assert np.mean(said) == pytest.approx(np.mean(seen), abs=0.08)
    sure = np.array(said) > 0.8
    assert np.mean(np.array(seen)[sure]) > 0.75


def test_pairs_that_one_data_set_has_are_left_out_and_the_figure_is_drawn(tmp_path: Path):
    rows = pd.DataFrame(
        {
            "method": ["dfa", "dfa", "focal"],
            "control": ["ce"] * 3,
            "study": ["a", "b", "a"],
            "centre": [0.03, 0.02, 0.0],
            "error": [0.01, 0.02, 0.01],
            "degrees": [9.0, 4.0, 9.0],
        }
    )
    (found,) = practical_comparisons(rows, 0.01)
    row = practical_table([found]).iloc[0]
    assert row["n_data_sets"] == 2
    for name in ("next", "mean", "most"):
        assert row[[f"{name}_worse", f"{name}_equivalent", f"{name}_better"]].sum() == pytest.approx(1)
    assert row["mean_low"] < row["mean"] < row["mean_high"]
    assert "with 2 data sets the prior says much" in found.sentence
    figure = save_practical_differences([(found.title, found.posterior)], tmp_path / "triangle.png")
    assert figure.stat().st_size > 5000
    np.testing.assert_allclose(simplex(np.eye(3))[1], [0.5, np.sqrt(0.75)])
