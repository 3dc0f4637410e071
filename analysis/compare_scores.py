"""Tables in, verdicts out: compare methods whose scores were computed anywhere.

`analyze` judges a study by the same functions: `scoring.comparisons` tests and corrects, and
`topics.method_comparison` writes the verdicts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema.names import MACRO
from analysis.scoring.comparisons import Rules, judged_families, macro_or_class, pair_tests
from analysis.scoring.estimates import interval_rows
from analysis.scoring.image_rows import complete_block
from analysis.scoring.metrics import AGGREGATIONS
from analysis.scoring.scored_images import Pairing, ScoredImages, ScoreRows
from analysis.study.runs import AnalysisPlan
from analysis.topics.method_comparison import comparison_frame, comparison_verdict
from analysis.topics.unit_weights import weights_verdict
from analysis.verdicts import Verdict, Word, points
from imbalance_bench.csv_cells import truth_values
from imbalance_bench.errors import UserError, nearest

REQUIRED = ("method",)
COLUMNS = (*REQUIRED, "fold", "seed", "group", "image", "class", "numerator", "denominator", "value", "present")


@dataclass(frozen=True)
class ScorePlan:
    """What is decided before the scores are seen.

    Args:
        control: Method that the others are compared with; None: the first in the table.
        alpha: Level of each family of tests.
        margin: Half width of the region of practical equivalence, in the unit of the scores.
        score: Name of the score in sentences.
        points: Write differences in hundredths, as is usual for scores from 0 to 1.
        permutations: Monte Carlo sign flips where all cannot be listed.
        seed: Seed of every random procedure.
    """

    control: str | None = None
    alpha: float = 0.05
    margin: float = 0.01
    score: str = "Dice"
    points: bool = True
    permutations: int = 10_000
    seed: int = 0

    @classmethod
    def of(cls, plan: "ScorePlan | AnalysisPlan | Mapping[str, Any] | None") -> "ScorePlan":
        """Return the plan of comparisons; from the plan of a study, only what comparisons need.

        Raises:
            UserError: An unknown key, or a value outside of its range.
        """
        if isinstance(plan, ScorePlan):
            return plan
        content = dict(vars(plan)) if isinstance(plan, AnalysisPlan) else dict(plan or {})
        keys = [field.name for field in fields(cls)]
        study_keys = [field.name for field in fields(AnalysisPlan)]
        for name in content:
            if name not in (*keys, *study_keys):
                raise UserError(f"the plan has no key '{name}'.{nearest(str(name), keys)} Its keys: {', '.join(keys)}.")
        if "rope_dice" in content:
            content = {"margin": content["rope_dice"]} | content
        score_plan = cls(**{name: value for name, value in content.items() if name in keys})
        if not 0 < score_plan.alpha < 1:
            raise UserError(f"`alpha` of the plan must lie between 0 and 1. Got {score_plan.alpha}.")
        if not score_plan.margin >= 0:
            raise UserError(f"`margin` of the plan must be >= 0. Got {score_plan.margin}.")
        return score_plan

    @property
    def rules(self) -> Rules:
        """The rules by which comparisons are judged."""
        return Rules(self.alpha, self.margin, self.permutations, self.seed)


@dataclass(frozen=True)
class ComparedScores:
    """Results of comparing the methods of a table of scores.

    Args:
        tables: `scores`: method, aggregation, class, mean, low, high, sd_over_seeds, n_units, n_seeds, with 95 %
            intervals; `comparisons`: every method against the control, macro and per class, with the word in `verdict`
            and the columns that `analysis.schema` explains for comparisons and equivalence.
        verdicts: One per row of `comparisons`, and one on the units that carry pooled scores, if few do.
        notes: What was left out or assumed, one sentence each.
    """

    tables: dict[str, pd.DataFrame]
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]

    def word(self, method: str, class_name: str = MACRO) -> Word | None:
        """Return the word of the verdict on a method, over all classes or on one class."""
        for verdict in self.verdicts:
            if (verdict.method, verdict.class_name) == (method, class_name):
                return verdict.word
        return None


def compare(scores: pd.DataFrame, plan: ScorePlan | AnalysisPlan | Mapping[str, Any] | None = None) -> ComparedScores:
    """Compare methods by scores of images, paired by independent group, seeds averaged within the group.

    Args:
        scores: One row per method, fold, seed, image and class. `method` is required, and `image` or `group`; `fold`,
            `seed` and `class` are required if there are several. `group` names the independent unit (slide or
            patient); without it, images are treated as independent. The score is `numerator` / `denominator` (for Dice
            2 tp / (2 tp + fp + fn)), summed over the images of a group before division, or `value`, which is averaged.
            `present` (true or false) says whether the class occurs in the truth of the image; without it, a class is
            absent where a value or denominator is missing or 0 in any row.
        plan: What was decided beforehand: a `ScorePlan`, a mapping with its keys, or the plan of a study.

    Returns:
        Tables and verdicts. Methods are paired on the folds and seeds that both have.

    Raises:
        UserError: A column is missing, a row occurs twice, or a score is not a finite number.
    """
    score_plan = ScorePlan.of(plan)
    rows, occurs, names, unit, notes = _checked(scores)
    score_rows = ScoreRows(rows, occurs, unit, len(names))
    control = score_plan.control or next(iter(score_rows.methods))
    if control not in score_rows.methods:
        raise UserError(
            f"the control '{control}' has no row.{nearest(control, score_rows.methods)} Methods: "
            f"{', '.join(score_rows.methods)}."
        )
    scores_of = {method: score_rows.scored(method) for method in score_rows.methods}
    notes += [
        f"{method} is scored without {_runs_text(left)}: scores need every fold of a seed."
        for method, runs in score_rows.finished.items()
        if (left := runs - _used(runs))
    ]
    pairing, tests = Pairing(score_rows.finished, score_rows.scored), []
    for method in score_rows.methods:
        pairs = None if method == control else pairing.pair(method, control)
        if pairs is not None:
            keys = {"method": method, "control": control, "metric": score_plan.score, "unit": unit}
            tests += pair_tests(pairs, names, score_plan.rules, keys)
            runs = score_rows.finished[method], score_rows.finished[control]
            shared = _used(runs[0] & runs[1])
            if any(_used(own) != shared for own in runs):
                notes.append(f"{method} is compared with {control} on what both have: {_runs_text(shared)}.")
        elif method != control:
            notes.append(f"{method} shares no fold and seed, or not the images, with {control}: it is not compared.")
    compared_rows = judged_families(tests, macro_or_class, score_plan.rules)
    number_text = points if score_plan.points else "{:+.3g}".format
    verdicts = [
        comparison_verdict(row, score_plan.rules, score=score_plan.score, number_text=number_text)
        for row in compared_rows
    ]
    first = next(iter(scores_of.values()))
    weights = weights_verdict(first.ratios("pooled"), first.units, names, unit)
    verdicts += [] if weights is None else [weights]
    table = comparison_frame(compared_rows).rename(columns={"word": "verdict"})
    tables = {"scores": _scores(scores_of, names, unit), "comparisons": table}
    return ComparedScores(tables, tuple(verdicts), tuple(notes))


def _used(finished: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return the (fold, seed) pairs that are scored."""
    return set(product(*complete_block(finished)))


def _runs_text(runs: Iterable[tuple[int, int]]) -> str:
    """Write (fold, seed) pairs, such as "fold 0 with seeds 1, 2 and fold 1 with seed 0"."""
    seeds_of: dict[int, list[int]] = {}
    for fold, seed in sorted(runs):
        seeds_of.setdefault(fold, []).append(seed)
    return " and ".join(
        f"fold {fold} with seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
        for fold, seeds in seeds_of.items()
    )


def _scores(scores_of: Mapping[str, ScoredImages], names: tuple[str, ...], unit: str) -> pd.DataFrame:
    rows = []
    for method, scored_images in scores_of.items():
        for aggregation in AGGREGATIONS:
            if aggregation == "per_group" and unit == "image":
                continue
            parts = scored_images.ratios(aggregation)
            for row in interval_rows(parts, names):
                rows.append({"method": method, "aggregation": aggregation} | row)
    return pd.DataFrame(rows)


_Checked = tuple[pd.DataFrame, pd.MultiIndex, tuple[str, ...], str, list[str]]


def _checked(scores: pd.DataFrame) -> _Checked:
    """Return the arguments of `ScoreRows` (rows, occurring classes, class names, unit), and notes."""
    for name in scores.columns:
        if name not in COLUMNS:
            raise UserError(
                f"scores have no column '{name}'.{nearest(str(name), COLUMNS)} Columns: {', '.join(COLUMNS)}."
            )
    if scores.empty:
        raise UserError("scores must have rows. Got none.")
    frame = _with_defaults(scores)
    keys = ["method", "fold", "seed", "image_id", "class"]
    duplicated = frame[frame.duplicated(keys)]
    if len(duplicated):
        row = duplicated.iloc[0]
        raise UserError(
            f"scores have two rows of method '{row['method']}', fold {row['fold']}, seed {row['seed']}, image "
            f"'{row['image_id']}', class '{row['class']}'. Each must stand once."
        )
    groups = frame.groupby("image_id", sort=False)["group_id"].nunique()
    if (groups > 1).any():
        raise UserError(f"image '{groups.idxmax()}' lies in {groups.max()} groups. It must lie in one.")
    names = tuple(map(str, pd.unique(frame["class"])))
    frame["class_id"] = pd.Index(names).get_indexer(pd.Index(frame["class"].astype(str)))
    occurs = _occurring(frame)
    if occurs.empty:
        raise UserError("scores must hold a value of some class. Got none: every value is missing or absent.")
    if "value" in scores:  # values of absent classes are not averaged; counts keep their false positives
        absent = ~pd.MultiIndex.from_frame(frame[["image_id", "class_id"]]).isin(occurs)
        frame.loc[absent, ["numerator", "denominator"]] = 0.0
    unit = "group" if "group" in scores else "image"
    notes = (
        []
        if unit == "group"
        else ["No column `group`: images are treated as independent, as those of one slide are not."]
    )
    if MACRO in names:
        raise UserError(f"a class must not be called '{MACRO}', which names the mean over classes. Rename it.")
    return frame, occurs, names, unit, notes


def _with_defaults(scores: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with every column, where missing columns have their default values."""
    if "method" not in scores:
        raise UserError(f"scores must have the column 'method'. Got {list(scores.columns)}.")
    if "image" not in scores and "group" not in scores:
        raise UserError(f"scores must have the column 'image' or 'group'. Got {list(scores.columns)}.")
    frame = pd.DataFrame({"method": scores["method"].astype(str)}, index=scores.index)
    image = scores["image"] if "image" in scores else scores["group"]
    frame["image_id"] = image.astype(str)
    frame["group_id"] = scores.get("group", image).astype(str)
    for name in ("fold", "seed"):
        frame[name] = _integers(scores, name) if name in scores else 0
    frame["class"] = scores["class"].astype(str) if "class" in scores else "all"
    if "value" in scores:
        frame["numerator"], frame["denominator"] = _numbers(scores, "value"), 1.0
        frame["denominator"] = frame["denominator"].where(frame["numerator"].notna(), 0.0)
    else:
        for column, name in (("numerator", "numerator"), ("denominator", "denominator")):
            if name not in scores:
                raise UserError("scores must have the column 'value', or 'numerator' and 'denominator'.")
            frame[column] = _numbers(scores, name)
        if (frame["denominator"] < 0).any():
            raise UserError("`denominator` must be >= 0.")
        frame["denominator"] = frame["denominator"].fillna(0.0)
    frame["numerator"] = frame["numerator"].fillna(0.0)
    frame["present"] = truth_values(scores["present"], "`present`") if "present" in scores else frame["denominator"] > 0
    return frame.reset_index(drop=True)


def _occurring(frame: pd.DataFrame) -> pd.MultiIndex:
    """Return the (image, class) pairs that are present for every method, fold and seed that scored the image.

    If one of them has no row of a class, the class is absent: a truth with a pixel of it would give all of them a row.
    """
    scored = frame.groupby("image_id")[["method", "fold", "seed"]].apply(lambda part: len(part.drop_duplicates()))
    present = frame[frame["present"]].groupby(["image_id", "class_id"]).size()
    expected = scored.reindex(present.index.get_level_values(0)).to_numpy()
    return pd.MultiIndex.from_tuples(present.index[present.to_numpy() == expected].tolist(), names=present.index.names)


def _integers(scores: pd.DataFrame, name: str) -> pd.Series:
    values = pd.to_numeric(scores[name], errors="coerce")
    invalid = values.isna() | (values != values.round())
    if invalid.any():
        raise UserError(f"`{name}` must hold whole numbers. Got '{scores.loc[invalid, name].iloc[0]}'.")
    return values.astype(np.int64)


def _numbers(scores: pd.DataFrame, name: str) -> pd.Series:
    values = pd.to_numeric(scores[name], errors="coerce").astype(np.float64)
    invalid = (values.isna() & scores[name].notna()) | np.isinf(values)
    if invalid.any():
        raise UserError(f"`{name}` must hold finite numbers, or nothing. Got '{scores.loc[invalid, name].iloc[0]}'.")
    return values
