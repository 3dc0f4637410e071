"""Who leads, and who cannot be told from the leader."""

import pandas as pd

from analysis.chapters.findings import Chapter, Findings
from analysis.columns import table
from analysis.comparison import MACRO
from analysis.leaders import leaders
from analysis.tables import AnalysisPlan
from analysis.verdicts import Topic, Verdict, Word


def chapter(found: Findings) -> Chapter:
    """Sort methods into tiers; the macro row of each architecture becomes a verdict."""
    frame = table("leaders", leaders(found.study, found.units, found.plan, found.unit))
    overall = frame[frame["class"] == MACRO]
    judged = [
        leader_verdict(str(architecture), rows, found.plan)
        for architecture, rows in overall.groupby("architecture", sort=False)
        if len(rows) > 1
    ]
    return Chapter({"leaders": frame}, tuple(judged))


def leader_verdict(architecture: str, rows: pd.DataFrame, plan: AnalysisPlan) -> Verdict:
    """Say whether one method stands out on macro Dice."""
    first = rows["method"].iloc[0]
    shared = rows.loc[rows["mark"] == "shared_best", "method"].tolist()
    if shared:
        others = ", ".join(shared[1:])
        word = Word.UNDECIDED
        sentence = f"{first} has the greatest macro Dice; {others} cannot be told from it."
    else:
        word = Word.BETTER
        sentence = f"{first} has the greatest macro Dice, and every other method is shown to be behind it."
    rule = (
        "better: each other method differs from the leader by the larger of the sign-flip p over units and the p that "
        f"knows the variation over seeds, times the number of pairs of methods, below {plan.alpha:g}; else undecided"
    )
    numbers = {"mean": rows["mean"].iloc[0], "methods": len(rows), "family": int(rows["family"].iloc[0])}
    return Verdict(f"leaders/{architecture}/all", Topic.COMPARISON, str(first), word, sentence, numbers, rule)
