"""Trust is measured: type I error, coverage and power on simulated studies, with the simulations of the benchmark.

`python -m benchmarks.calibration` prints all of it with 2000 studies per row; here is a fast choice with fewer.
"""

import numpy as np
import pytest

from analysis.scoring.comparisons import PairedScores, Rules, pair_tests
from benchmarks.calibration import explanations
from benchmarks.calibration.__main__ import all_checks, page
from benchmarks.calibration.check import COVERAGE, Check, binomial_band, judge, markdown, run_check

STUDIES = 300
SLOW = ("mixed model", "partition", "20 groups", "any of", "K = 5 + 5 + 6", "ties", "first of equal", "rank interval")
CHECKS = {each.name: each for each in all_checks()}
EXPLAINED = {each.name for each in explanations.checks()}  # whole analyses: minutes a row, run by the benchmark alone
FAST = [
    name
    for name, each in CHECKS.items()
    if each.kind != "shown" and name not in EXPLAINED and not any(word in name for word in SLOW)
]


def test_the_choice_holds_every_kind_and_names_are_unique():
    assert {CHECKS[name].kind for name in FAST} == {"level", "coverage", "power"}
    assert len(FAST) > 40
    assert len(CHECKS) == len(all_checks())


@pytest.mark.parametrize("name", FAST)
def test_calibrated(name):
    found = run_check(CHECKS[name], STUDIES, seed=1)
    if found.check.kind == "coverage":
        least = COVERAGE[0] if found.check.least is None else found.check.least
        assert found.rate >= least - 2.6 * np.sqrt(least * (1 - least) / STUDIES)
    else:
        assert found.outcome != "FAILS"


@pytest.mark.parametrize(
    "procedure", ["as if independent, 5 groups", "seeds ignored", "classes x seeds as if independent"]
)
def test_what_the_procedures_avoid_would_fail(procedure):
    """The simulations can tell: the same studies, analysed wrongly, leave the band."""
    (name,) = (each for each in CHECKS if procedure in each)
    assert run_check(CHECKS[name], 200, seed=1).rate > 0.12


@pytest.mark.parametrize(
    ("kind", "rate", "outcome"),
    [
        ("level", 0.05, "holds"),
        ("level", 0.01, "conservative"),
        ("level", 0.07, "FAILS"),
        ("coverage", 0.95, "holds"),
        ("coverage", 0.98, "conservative"),
        ("coverage", 0.92, "FAILS"),
        ("power", 0.80, "holds"),
        ("power", 0.70, "FAILS"),
        ("power", 0.90, "FAILS"),
        ("shown", 0.50, "shown"),
    ],
)
def test_judgement(kind, rate, outcome):
    check = Check("a test", "20 groups", kind, lambda _: True, expected=0.8 if kind == "power" else 0.05)
    found = judge(check, rate, 2000)
    assert found.outcome == outcome
    assert f"| {outcome} |" in markdown([found])
    assert ("1 rows fail" in page([found], 2000, 0)) == (outcome == "FAILS")


@pytest.mark.parametrize(
    ("rate", "outcome"), [(0.98, "conservative"), (0.95, "holds"), (0.92, "short"), (0.90, "short"), (0.89, "FAILS")]
)
def test_intervals_over_few_groups_may_fall_short_and_the_page_says_so(rate, outcome):
    found = judge(Check("an interval", "10 groups", "coverage", lambda _: True, few=True), rate, 2000)
    assert found.outcome == outcome
    assert f"{rate:.1%} to {rate:.1%} with 10 groups" in page([found], 2000, 0)


def test_only_studies_of_fewer_than_twenty_groups_may_fall_short():
    few = {each.setting.split(" groups")[0] for each in CHECKS.values() if each.few}
    assert few == {"10", "14"}


def test_the_band_is_binomial():
    assert binomial_band(0.05, 2000) == pytest.approx((0.038, 0.063), abs=1e-3)


def test_same_seed_same_rate():
    name = next(each for each in FAST if "interval of a paired" in each)
    assert run_check(CHECKS[name], 40, seed=3).rate == run_check(CHECKS[name], 40, seed=3).rate


def test_equivalence_of_the_whole_path_is_claimed_at_the_margin_at_most_as_often_as_it_says():
    rules = Rules(permutations=500)
    rng, n, claimed = np.random.default_rng(4), 100, 0
    for _ in range(n):
        noise = 0.012 * rng.normal(size=(2, 3, 12, 1)) + 0.004 * rng.normal(size=(2, 3, 1, 1))
        pairs = PairedScores(0.7 + noise[0] + rules.margin, 0.7 + noise[1], tuple("abcdefghijkl"))
        claimed += pair_tests(pairs, ("x",), rules, {}, only="x")[0].p_tost < rules.alpha
    assert claimed / n <= binomial_band(0.05, n)[1]
