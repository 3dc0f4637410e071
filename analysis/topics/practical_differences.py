"""How probable a practical difference is: below, inside or above the margin of the plan. Nothing is judged by it.

On one data set the posterior is the distribution whose central intervals are those of the comparison, with the margin
of the plan as region of practical equivalence and no prior beside. `compare` puts those of several data sets together.
"""

from analysis.schema import table
from analysis.scoring.pairs import rules_of
from analysis.statistics.posterior_regions import posterior_regions, student_form
from analysis.topics.context import Context, TopicResult
from analysis.topics.method_comparison import comparison_tests


def analyze(context: Context) -> TopicResult:
    """Describe every comparison with a control, overall and class by class, by its posterior."""
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
