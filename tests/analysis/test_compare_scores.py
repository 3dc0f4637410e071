"""Tables in, verdicts out: scores from anywhere are judged as a study's own, and what is wrong is said in one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import imbalance_bench
from analysis.compare_scores import compare
from analysis.pipeline import analyze_study
from analysis.study.runs import AnalysisPlan, read_study
from analysis.verdicts import Word
from imbalance_bench.cli.main import main
from imbalance_bench.errors import UserError
from imbalance_bench.records import StudyRecords
from tests.analysis.synthetic import write_synthetic_study


def scores(effects: dict[str, float], *, groups: int = 12, seeds: int = 3, rng_seed: int = 0) -> pd.DataFrame:
    """Two images of each group, two classes; class b is absent from the last groups."""
    rng, rows = np.random.default_rng(rng_seed), []
    base = 0.6 + 0.1 * rng.normal(size=(groups, 2))
    for method, effect in effects.items():
        for seed in range(seeds):
            for group, c in np.ndindex(groups, 2):
                if c == 1 and group >= groups - 4:
                    continue
                for image in range(2):
                    value = base[group, c] + effect + 0.01 * rng.normal()
                    keys = {"method": method, "seed": seed, "group": f"g{group}", "image": f"g{group}_{image}"}
                    below = int(rng.integers(100, 200))
                    rows.append(keys | {"class": "ab"[c], "numerator": value * below, "denominator": below})
    return pd.DataFrame(rows)


def test_a_study_and_its_table_of_counts_get_the_same_verdicts(tmp_path: Path) -> None:
    options: dict[str, Any] = {"methods": ("cross_entropy", "focal", "dfa"), "n_images": 8, "classes": 3}
    root = write_synthetic_study(tmp_path / "s", images_per_group=2, dataset=False, **options)
    expected = analyze_study(root)
    records = StudyRecords.open(root)
    study, rows = read_study(records), []
    for run in study.data:
        counts = run.counts[run.counts["split"] == study.split]
        tp, fp, fn = (counts[name] for name in ("tp", "fp", "fn"))
        frame = counts[["image_id", "group_id"]].rename(columns={"image_id": "image", "group_id": "group"})
        names = counts["class_id"].map(dict(enumerate(study.class_names)))
        frame = frame.assign(method=run.method, seed=run.seed, fold=run.fold, present=tp + fn > 0)
        rows.append(frame.assign(**{"class": names, "numerator": 2 * tp, "denominator": 2 * tp + fp + fn}))
    found = compare(pd.concat(rows), AnalysisPlan.of(records))
    columns = ["difference", "low", "high", "p", "p_holm", "low_holm", "high_holm", "p_sign_flip", "cliffs_delta"]
    theirs = expected.tables["comparisons"].set_index(["method", "class"])
    mine = found.tables["comparisons"].set_index(["method", "class"])
    pd.testing.assert_frame_equal(mine.loc[theirs.index, columns], theirs[columns], check_dtype=False)
    assert (mine.loc[theirs.index, "verdict"].astype(str) == theirs["verdict"]).all()
    kept = expected.tables["method_scores"].query("metric == 'dice'").set_index(["method", "aggregation", "class"])
    own = found.tables["scores"].set_index(["method", "aggregation", "class"]).loc[kept.index]
    pd.testing.assert_frame_equal(own[["mean", "low", "high"]], kept[["mean", "low", "high"]])


def test_planted_effects_are_found_and_the_control_is_named() -> None:
    table = scores({"ce": 0.0, "same": 0.0, "good": 0.1})
    found = compare(table)
    assert (found.word("good"), found.word("good", "b")) == (Word.BETTER, Word.BETTER)
    assert found.word("same") in (Word.EQUIVALENT, Word.UNDECIDED)
    assert found.word("ce") is None
    turned = compare(table, {"control": "good"})
    assert turned.word("ce") == Word.WORSE
    assert compare(table, {"margin": 0.2}).word("good") == Word.EQUIVALENT
    rows = found.tables["comparisons"].set_index(["method", "class"])
    assert (rows.loc[("good", "a"), "n_units"], rows.loc[("good", "b"), "n_units"]) == (12, 8)
    assert rows.loc[("good", "macro"), "family"] == 2
    assert rows.loc[("good", "a"), "family"] == 4


def test_values_are_averaged_within_a_group_and_missing_ones_are_absent_classes() -> None:
    table = scores({"ce": 0.0, "good": 0.1})
    values = table.assign(value=table["numerator"] / table["denominator"]).drop(columns=["numerator", "denominator"])
    gone = values["image"] == "g0_0"
    values.loc[gone & (values["method"] == "ce") & (values["seed"] == 1) & (values["class"] == "a"), "value"] = np.nan
    found = compare(values, {"score": "accuracy", "points": False})
    group = values[(values["class"] == "a") & ~gone].groupby(["method", "group"])["value"].mean().unstack("method")
    row = found.tables["comparisons"].query("`class` == 'a'").iloc[0]
    assert row["difference"] == pytest.approx((group["good"] - group["ce"]).mean(), abs=1e-6)
    assert "better than ce on macro accuracy: +0.09" in found.verdicts[0].sentence
    assert "points" not in found.verdicts[0].sentence


def test_without_groups_images_are_units_and_that_is_said() -> None:
    found = compare(scores({"ce": 0.0, "good": 0.1}).drop(columns="group"))
    assert found.tables["comparisons"]["n_units"].max() == 24
    assert "images are treated as independent" in found.notes[0]
    assert set(found.tables["scores"]["aggregation"]) == {"pooled", "per_image"}


def test_folds_enter_the_interval() -> None:
    table = scores({"ce": 0.0, "good": 0.1})
    whole = compare(table).tables["comparisons"].iloc[0]
    number = table["group"].str.removeprefix("g").astype(int)
    folded = table.assign(fold=number % 3)
    folded.loc[(folded["fold"] == 0) & (folded["method"] == "good"), "numerator"] *= 1.2  # one training set is luckier
    row = compare(folded).tables["comparisons"].iloc[0]
    assert row["high"] - row["low"] > 2 * (whole["high"] - whole["low"])


def test_no_fold_is_dropped_to_keep_a_seed_and_what_is_dropped_is_said() -> None:
    """A gain in the fold of three seeds was called better; the loss of ten points in the other was not seen."""
    rng, rows = np.random.default_rng(1), []
    for fold, seeds, effect in ((0, 3, 0.02), (1, 1, -0.1)):
        for seed, unit in np.ndindex(seeds, 10):
            for method, gain in (("ctrl", 0.0), ("new", effect)):
                keys = {"method": method, "fold": fold, "seed": seed, "group": f"{fold}_{unit}", "class": "a"}
                rows.append(keys | {"value": 0.6 + gain + 0.01 * rng.normal()})
    found = compare(pd.DataFrame(rows))
    assert found.word("new") != Word.BETTER
    assert found.tables["comparisons"]["difference"].iloc[0] == pytest.approx(-0.04, abs=0.01)
    assert (found.tables["scores"]["n_units"] == 20).all()
    left = "{} is scored without fold 0 with seeds 1, 2: scores need every fold of a seed."
    assert found.notes == tuple(left.format(method) for method in ("ctrl", "new"))


def test_runs_of_one_method_alone_are_said_where_the_other_lacks_them() -> None:
    frame = scores({"ctrl": 0.0, "new": 0.03})
    found = compare(frame[(frame["method"] == "ctrl") | (frame["seed"] < 2)])
    assert found.notes == ("new is compared with ctrl on what both have: fold 0 with seeds 0, 1.",)
    assert compare(frame).notes == ()


@pytest.mark.parametrize("design", ["repeated", "same images"])
def test_folds_enter_the_interval_also_where_they_share_images(design: str) -> None:
    table = scores({"ce": 0.0, "good": 0.1})
    whole = compare(table)
    number = table["group"].str.removeprefix("g").astype(int)
    divisions = [number % 3, 3 + number // 3 % 3] if design == "repeated" else [0 * number + fold for fold in range(3)]
    folded = pd.concat([table.assign(fold=fold) for fold in divisions], ignore_index=True)
    unlucky = compare(folded).tables["comparisons"].iloc[0]
    folded.loc[(folded["fold"] == 0) & (folded["method"] == "good"), "numerator"] *= 1.2  # one training set is luckier
    found = compare(folded)
    first, row = whole.tables["comparisons"].iloc[0], found.tables["comparisons"].iloc[0]
    assert row["n_units"] == first["n_units"]
    assert row["high"] - row["low"] > 2 * (first["high"] - first["low"])
    assert row["high"] - row["low"] > 2 * (unlucky["high"] - unlucky["low"])
    first, row = (each.tables["scores"].query("method == 'good' and `class` == 'macro'") for each in (whole, found))
    assert ((row["high"] - row["low"]).to_numpy() > 1.5 * (first["high"] - first["low"]).to_numpy()).all()


def test_large_slides_that_carry_pooled_scores_are_named() -> None:
    table = scores({"ce": 0.0, "good": 0.1})
    table.loc[table["group"] == "g2", ["numerator", "denominator"]] *= 50
    found = next(each for each in compare(table).verdicts if each.topic == "data")
    assert "g2 8" in found.sentence  # per cent of the pixels
    assert "of 12" in found.sentence
    assert not [each for each in compare(scores({"ce": 0.0, "good": 0.1})).verdicts if each.topic == "data"]


@pytest.mark.parametrize(
    ("change", "plan", "said"),
    [
        (lambda t: t.drop(columns="method"), {}, "scores must have the column 'method'"),
        (lambda t: t.drop(columns=["group", "image"]), {}, "the column 'image' or 'group'"),
        (lambda t: t.drop(columns="denominator"), {}, "the column 'value', or 'numerator' and 'denominator'"),
        (lambda t: t.rename(columns={"seed": "sed"}), {}, "no column 'sed'. Did you mean 'seed'?"),
        (lambda t: pd.concat([t, t.iloc[:1]]), {}, "two rows of method 'ce', fold 0, seed 0, image 'g0_0', class 'a'"),
        (lambda t: t.assign(numerator="x"), {}, "`numerator` must hold finite numbers, or nothing. Got 'x'"),
        (lambda t: t.assign(numerator=np.inf), {}, "`numerator` must hold finite numbers, or nothing. Got 'inf'"),
        (lambda t: t.assign(seed=0.5), {}, "`seed` must hold whole numbers. Got '0.5'"),
        (lambda t: t.assign(denominator=-1), {}, "`denominator` must be >= 0"),
        (lambda t: t.replace({"class": {"a": "macro"}}), {}, "a class must not be called 'macro'"),
        (lambda t: t.iloc[:0], {}, "scores must have rows"),
        (lambda t: t, {"control": "cee"}, "the control 'cee' has no row. Did you mean 'ce'?"),
        (lambda t: t, {"alfa": 0.1}, "the plan has no key 'alfa'. Did you mean 'alpha'?"),
        (lambda t: t, {"alpha": 5}, "`alpha` of the plan must lie between 0 and 1. Got 5"),
        (lambda t: t, {"margin": -1}, "`margin` of the plan must be >= 0. Got -1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(change: Any, plan: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        compare(change(scores({"ce": 0.0, "good": 0.1}, seeds=1)), plan)
    assert said in str(error.value)


def test_one_group_has_no_interval_and_no_nan_in_a_sentence() -> None:
    found = compare(scores({"ce": 0.0, "good": 0.1}).query("group == 'g0'"))
    assert found.word("good") == Word.NOT_TESTABLE
    assert "there is no interval with one group" in found.verdicts[0].sentence
    assert not any("nan" in each.sentence for each in found.verdicts)


def test_the_command_prints_verdicts_and_writes_tables(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    scores({"ce": 0.0, "NA": 0.1}).to_csv(path, index=False)  # a method may be called NA
    result = CliRunner().invoke(main, ["compare-scores", str(path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "better: NA is better than ce on macro Dice" in result.output
    assert pd.read_csv(tmp_path / "out" / "comparisons.csv", keep_default_na=False)["method"].unique() == ["NA"]
    content = json.loads(CliRunner().invoke(main, ["compare-scores", str(path), "--json"]).stdout)
    assert content["verdicts"][0]["verdict"] == "better"
    path.write_text("method,value\nce,1\n")
    refused = CliRunner().invoke(main, ["compare-scores", str(path)])
    assert (refused.exit_code, f"{path}: scores must have the column 'image' or 'group'" in refused.output) == (2, True)


def test_the_function_is_public_by_its_short_name() -> None:
    assert imbalance_bench.compare is compare
    assert "compare" in dir(imbalance_bench)
    assert not hasattr(imbalance_bench, "compared")
