"""Several models in one study: planted effects of methods that do or do not depend on the model."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from analysis.study.runs import AnalysisPlan, RunData, StudyTables
from analysis.topics.context import Context
from analysis.topics.models import analyze
from analysis.verdicts import Word
from imbalance_bench.seeding import generator

CLASSES = ("a", "b")
PIXELS = 100_000


def context_of(
    effects: dict[str, dict[str, float]], *, seeds: int = 3, groups: int = 14, noise: float = 0.01
) -> Context:
    """A study of Dice .6 plus the effect of the method under the model, plus noise of unit and seed."""
    runs = []
    for model, of_methods in effects.items():
        for method, effect in of_methods.items():
            for seed in range(seeds):
                rng = generator(seed, method, model)
                rows = [
                    _counts(f"s{group}", class_id, 0.6 + effect + noise * rng.normal())
                    for group in range(groups)
                    for class_id in range(len(CLASSES))
                ]
                name = f"{method} ({model})" if len(effects) > 1 else method
                runs.append(RunData(name, method, name, model, 0, seed, {}, pd.DataFrame(rows), pd.DataFrame()))
    study = StudyTables(pd.DataFrame(), tuple(runs), CLASSES, ((True, True),), {"groups_known": True}, "test")
    missing: Any = None
    return Context(missing, study, AnalysisPlan.default(control="cross_entropy"), lambda *_: None, None)


def _counts(unit: str, class_id: int, dice: float) -> dict[str, Any]:
    true_positives = round(PIXELS * dice)  # with as many false positives as negatives, Dice = tp / (tp + fn)
    wrong = PIXELS - true_positives
    keys = {"image_id": unit, "group_id": unit, "split": "test", "class_id": class_id}
    return keys | {"tp": true_positives, "fp": wrong, "fn": wrong, "n_valid": 4 * PIXELS}


def words(context: Context, aspect: str) -> dict[str, Word]:
    verdicts = analyze(context).verdicts
    return {
        each.method: each.word for each in verdicts if each.aspect.startswith(aspect) and each.class_name == "macro"
    }


def test_an_effect_under_one_model_alone_depends_on_the_model() -> None:
    effects = {"small": {"cross_entropy": 0.0, "dfa": 0.1}, "large": {"cross_entropy": 0.2, "dfa": 0.2}}
    context = context_of(effects)
    assert words(context, "interaction") == {"dfa": Word.SUPPORTED}
    assert words(context, "difference") == {"cross_entropy": Word.WORSE, "dfa": Word.WORSE}  # small against large
    row = analyze(context).tables["model_interactions"].query("`class` == 'macro'").iloc[0]
    assert (row["of_model"], row["of_other"]) == pytest.approx((0.1, 0.0), abs=0.01)
    assert row["of_model_low"] < row["of_model"] < row["of_model_high"]
    sentence = next(each.sentence for each in analyze(context).verdicts if each.word == Word.SUPPORTED)
    assert sentence.startswith("The effect of dfa on ")
    assert "depends on the model: +1" in sentence


def test_equal_effects_under_unequal_models_are_equivalent() -> None:
    effects = {"small": {"cross_entropy": 0.0, "dfa": 0.1}, "large": {"cross_entropy": 0.2, "dfa": 0.3}}
    context = context_of(effects, seeds=5, groups=40, noise=0.005)
    assert words(context, "interaction") == {"dfa": Word.EQUIVALENT}


def test_every_pair_of_three_models_is_one_family() -> None:
    effects = {model: {"cross_entropy": 0.0, "dfa": 0.02, "focal": 0.0} for model in ("one", "other", "another")}
    tables = analyze(context_of(effects)).tables
    macro = tables["model_interactions"].query("`class` == 'macro'")
    assert len(macro) == 3 * 2
    assert set(macro["family"]) == {6}
    assert len(tables["model_differences"].query("`class` == 'macro'")) == 3 * 3


def test_models_without_a_control_are_compared_but_their_effects_are_not() -> None:
    context = context_of({"small": {"dfa": 0.1}, "large": {"dfa": 0.2}})
    assert words(context, "difference") == {"dfa": Word.WORSE}
    assert words(context, "interaction") == {}


def test_one_model_gives_empty_tables() -> None:
    result = analyze(context_of({"small": {"cross_entropy": 0.0, "dfa": 0.1}}))
    assert result.verdicts == ()
    assert {name: len(frame) for name, frame in result.tables.items()} == {
        "model_differences": 0,
        "model_interactions": 0,
    }


def test_only_seeds_that_all_four_have_finished_count() -> None:
    effects = {"small": {"cross_entropy": 0.0, "dfa": 0.1}, "large": {"cross_entropy": 0.2, "dfa": 0.2}}
    context = context_of(effects)
    kept = [run for run in context.study.data if not (run.method == "dfa (large)" and run.seed == 1)]
    tables = analyze(replace(context, study=replace(context.study, data=tuple(kept)))).tables
    of_dfa = tables["model_interactions"].query("method == 'dfa'")
    assert set(of_dfa["n_seeds"]) == {2}
