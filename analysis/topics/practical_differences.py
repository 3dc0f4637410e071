"""How probable a practical difference is: below, inside or above the margin of the plan. It decides no verdict.

On one data set the posterior is the distribution whose central intervals are those of the comparison, without a further
prior; the margin of the plan is the region of practical equivalence. `compare` combines the posteriors of several data
sets.
"""

from analysis.schema import table
from analysis.scoring.pairs import rules_of
from analysis.statistics.posterior_regions import posterior_regions, student_form
from analysis.topics.context import Context, TopicResult
from analysis.topics.method_comparison import comparison_tests


def analyze(context: Context) -> TopicResult:
    """Tabulate the posterior of every comparison with a control, overall and class by class."""
    margin = rules_of(context.plan).margin
    rows: list[dict[str, object]] = []
    for test in comparison_tests(context.study, context.units, context.plan, context.unit):
        form, regions = student_form(test.uncertainty), posterior_regions(test.uncertainty, margin)
        row: dict[str, object] = {key: test.keys[key] for key in ("method", "control", "class", "unit")}
        row |= {"n_units": test.n_units, "n_seeds": len(test.pairs.method), "margin": margin}
        row |= {"centre": form.centre, "error": form.error, "degrees": form.degrees}
        row |= {"p_worse": regions.worse, "p_equivalent": regions.equivalent, "p_better": regions.better}
        rows.append(row)
    return TopicResult({"practical_differences": table("practical_differences", rows)})
