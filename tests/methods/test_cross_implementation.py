"""Our losses against packages and the authors' code: they agree where docs/conformance.md says, and only there."""

import pytest

from benchmarks.cross_implementation.cases import CASES
from benchmarks.cross_implementation.comparison import agree
from benchmarks.cross_implementation.official_comparisons import OFFICIAL, recorded_outcomes
from benchmarks.cross_implementation.packages import LIVE, live_outcome


@pytest.mark.parametrize(("method", "name"), [(comparison.method, name) for name, (comparison, _) in LIVE.items()])
def test_packages_agree_exactly_where_the_page_says(method, name):
    assert name.startswith(method)
    comparison = LIVE[name][0]
    differing = [case for case in comparison.cases if not agree(comparison.ours(case), live_outcome(name, CASES[case]))]
    assert set(differing) == set(comparison.diverges)


@pytest.mark.parametrize(("method", "name"), [(comparison.method, name) for name, comparison in OFFICIAL.items()])
def test_authors_code_agrees_exactly_where_the_page_says(method, name):
    comparison, recorded = OFFICIAL[name], recorded_outcomes()[name]
    assert comparison.method == method
    assert recorded.keys() == set(comparison.cases)
    differing = [case for case in comparison.cases if not agree(comparison.ours(case), recorded[case])]
    assert set(differing) == set(comparison.diverges)


def test_every_divergence_has_a_reason():
    for comparison in [*OFFICIAL.values(), *(comparison for comparison, _ in LIVE.values())]:
        assert comparison.reason or not comparison.diverges, comparison.name
