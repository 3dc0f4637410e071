"""What tuning says: planted gains, planted luck, and what smaller budgets would have chosen."""

import json
import shutil
from itertools import combinations, product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.pipeline import analyze_study
from analysis.plots import AnalysedStudy, draw_figure
from analysis.report import build_report
from analysis.scoring.pairs import rules_of
from analysis.scoring.tuned import ScoredTrial, TunedMethod, TunedStudy, mean_score, read_tuning, selected_score
from analysis.statistics import tuning_budgets
from analysis.statistics.tuning_budgets import budgets, subsets_of
from analysis.study.runs import AnalysisPlan, RunData, StudyTables
from analysis.topics.tuning import (
    budget_verdict,
    effect_rows,
    method_budgets,
    optimism_verdict,
    option_rows,
    summary_row,
)
from analysis.verdicts import Topic, Word
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import write_json
from imbalance_bench.method_entry import parse_method
from imbalance_bench.records import StudyRecords
from imbalance_bench.seeding import generator
from imbalance_bench.tuning.choice import choose, score_of_counts, write_choices
from imbalance_bench.tuning.draws import Trial
from imbalance_bench.tuning.section import TuningSection
from tests.analysis.synthetic import write_synthetic_study
from tests.analysis.synthetic_runs import METHOD_GAIN, STEPS

RNG = np.random.default_rng(0)
RULES = rules_of(AnalysisPlan.default())
GAINS = {"focal.t0": -0.1, "focal.t1": 0.05, "focal.t2": -0.2, "cross_entropy.t1": -0.1, "cross_entropy.t2": -0.15}
TRIALS = 3


def preference_of(validation: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(-validation, axis=1, kind="stable"), axis=1, kind="stable")


def test_expected_best_is_the_mean_maximum_over_all_choices_with_the_default() -> None:
    validation = RNG.random((2, 6))
    found = budgets(validation, validation, preference_of(validation), RNG)
    for n, each in enumerate(found, start=1):
        of_all = [validation[:, [0, *chosen]].max(axis=1) for chosen in combinations(range(1, 6), n - 1)]
        assert each.validation == pytest.approx(np.mean(of_all, axis=0), abs=1e-12)
        assert each.subsets == len(of_all)
    assert found[0].validation == pytest.approx(validation[:, 0])
    assert found[-1].validation == pytest.approx(validation.max(axis=1))


def test_choices_of_folds_are_averaged_before_methods_are_ranked() -> None:
    validation, test = RNG.random((2, 3, 4)), RNG.random((2, 3, 4))  # 2 methods, 3 folds, 4 trials
    preference = np.stack([preference_of(of_method) for of_method in validation])
    found = budgets(validation, test, preference, RNG)
    for n, each in enumerate(found, start=1):
        for scores, expected in ((validation, each.validation), (test, each.test)):
            alone = [budgets(validation[m], scores[m], preference[m], RNG)[n - 1].test.mean() for m in range(2)]
            assert expected == pytest.approx(alone, abs=1e-12)
    best = np.take_along_axis(test, validation.argmax(axis=2)[..., None], axis=2)[..., 0].mean(axis=1)
    assert found[-1].test == pytest.approx(best, abs=1e-12)
    assert found[-1].ranks.rank.tolist() == [1.0, 2.0] if best[0] > best[1] else [2.0, 1.0]


def test_expected_best_of_drawn_trials_is_that_of_order_statistics() -> None:
    """Tang et al. 2020: sum over sorted values of v_i C(i - 1, n - 1) / C(N, n), here with a default below them all."""
    drawn = np.sort(RNG.random(5)) + 1
    validation = np.array([[0.0, *drawn]])
    found = budgets(validation, validation, preference_of(validation), RNG)
    assert found[1].validation[0] == pytest.approx(drawn.mean())
    assert found[2].validation[0] == pytest.approx((drawn * np.arange(5)).sum() / 10)
    assert found[3].validation[0] == pytest.approx((drawn * np.array([0, 0, 1, 3, 6])).sum() / 10)


def test_the_test_curve_follows_the_choice_and_not_the_test_scores() -> None:
    validation, test = np.array([[0.1, 0.2, 0.3]]), np.array([[0.9, 0.5, 0.1]])
    found = budgets(validation, test, preference_of(validation), RNG)
    assert [each.test[0] for each in found] == pytest.approx([0.9, 0.3, 0.1])


def test_an_order_that_tuning_turns_round_is_told() -> None:
    validation = np.array([[0.5, 0.5, 0.5], [0.4, 0.6, 0.6]])
    found = budgets(validation, validation, preference_of(validation), RNG)
    assert [each.ranks.kendall for each in found] == [-1, 1, 1]
    assert found[0].ranks.p_best.tolist() == [1, 0]
    assert found[-1].ranks.p_best.tolist() == [0, 1]


def test_large_budgets_are_drawn_without_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_budgets, "MOST_SUBSETS", 50)
    drawn = subsets_of(12, 6, RNG)
    assert drawn.shape == (50, 6)
    assert (drawn[:, 0] == 0).all()
    assert all(len(set(row)) == 6 for row in drawn.tolist())
    assert subsets_of(12, 12, RNG).shape == (1, 12)
    assert subsets_of(12, 1, RNG).tolist() == [[0]]


@pytest.mark.parametrize("select", ["macro_dice", "macro_iou", "worst_dice"])
def test_the_score_is_the_one_that_tuning_chooses_by(select: Any) -> None:
    rows = [
        {"class_id": k, "tp": tp, "fp": fp, "fn": fn}
        for k, tp, fp, fn in [(0, 50, 10, 5), (0, 9, 0, 1), (1, 3, 9, 4), (2, 0, 8, 0)]
    ]
    counts = pd.DataFrame(rows)
    assert selected_score(counts, select) == pytest.approx(score_of_counts(counts, select), abs=1e-12)


def tuned_study(
    effects: dict[str, list[float]], *, seeds: int = 3, groups: int = 12, noise: float = 0.01, luck: float = 0.0
) -> TunedStudy:
    """Trials with planted Dice .5 + effect; `luck` is what validation adds to the winner alone."""
    runs, methods = [], []
    for method, of_trials in effects.items():
        winner = int(np.argmax(of_trials))
        for (number, effect), seed in product(enumerate(of_trials), range(seeds)):
            name = f"{method}.t{number}"
            rng = generator(seed, name)
            rows = []
            for split, group, class_id in product(("val", "test"), range(groups), range(2)):
                dice = 0.5 + effect + noise * rng.normal() + luck * (split == "val" and number == winner)
                tp = round(100_000 * dice)
                keys = {"image_id": f"{split}{group}", "group_id": f"{split}{group}", "split": split}
                rows.append(keys | {"class_id": class_id, "tp": tp, "fp": 100_000 - tp, "fn": 100_000 - tp})
            runs.append(RunData(f"{name}.{seed}", name, name, "m", 0, seed, {}, pd.DataFrame(rows), pd.DataFrame()))
        trials = []
        for number in range(len(of_trials)):
            own = [run for run in runs if run.method == f"{method}.t{number}"]
            validation, test = (mean_score(own, "macro_dice", split) for split in ("val", "test"))
            drawn = {"gamma": float(number), "how": "ab"[number % 2]} if number else {}
            trials.append(ScoredTrial(number, f"{method}.t{number}", drawn, validation, test, steps=100, seconds=9.0))
        methods.append(TunedMethod(method, winner, {}, tuple(trials)))
    study = StudyTables(pd.DataFrame(), tuple(runs), ("a", "b"), ((True, True),), {"groups_known": True}, "test")
    return TunedStudy("macro_dice", tuple(methods), study)


def macro_words(tuned: TunedStudy) -> dict[str, Word]:
    rows = effect_rows(tuned, "group", RULES)
    return {row["method"]: row["word"] for row in rows if row["class"] == "macro"}


def test_a_planted_gain_is_found_and_a_placebo_is_not() -> None:
    tuned = tuned_study(
        {"good": [0.0, 0.1, -0.1], "placebo": [0.0, 1e-6, 0.0], "kept": [0.0, -0.1, -0.2]},
        seeds=5,
        groups=30,
        noise=0.002,
    )
    assert macro_words(tuned) == {"good": Word.BETTER, "placebo": Word.EQUIVALENT}  # nothing was changed in `kept`
    row = next(r for r in effect_rows(tuned, "group", RULES) if r["method"] == "good")
    assert row["difference"] == pytest.approx(0.1, abs=0.01)
    assert (row["of_tuned"], row["of_default"]) == pytest.approx((0.6, 0.5), abs=0.01)


def test_luck_of_validation_is_told_as_optimism_and_counts_for_nothing_on_test_images() -> None:
    tuned = tuned_study({"lucky": [0.0, 1e-6, -0.1]}, luck=0.05, noise=0.002, seeds=5, groups=30)
    assert macro_words(tuned) == {"lucky": Word.EQUIVALENT}
    study = SimpleNamespace(data=[], runs=pd.DataFrame({"run_id": [], "steps": [], "seconds": []}))
    row = summary_row(tuned.methods[0], tuned, study, {})  # pyright: ignore[reportArgumentType]
    assert row["optimism_of_gain"] == pytest.approx(0.05, abs=0.005)
    verdict = optimism_verdict(pd.DataFrame([row]), 0.01)
    assert verdict is not None
    assert verdict.word == Word.LIMITED
    fair = optimism_verdict(pd.DataFrame([row | {"optimism_of_gain": 0.004}]), 0.01)
    assert fair is not None
    assert fair.word == Word.SOUND


def test_options_are_correlated_over_the_drawn_trials_alone() -> None:
    tuned = tuned_study({"m": [0.4, 0.0, 0.1, 0.2, 0.3]}, noise=0.001)
    gamma, how = option_rows(tuned, AnalysisPlan.default())
    assert (gamma["option"], gamma["n"], gamma["spearman"]) == ("gamma", 4, 1.0)
    assert gamma["p"] == gamma["min_p"] == pytest.approx(2 / 24)
    assert (how["levels"], np.isnan(how["spearman"])) == (2, True)
    assert how["spread"] == pytest.approx(0.1, abs=0.01)


def test_the_order_over_budgets_is_put_into_words() -> None:
    tuned = tuned_study({"a": [0.1, 0.0, 0.0], "b": [0.0, 0.2, 0.2]}, noise=0.001)
    verdict = budget_verdict(tuned, method_budgets(tuned, AnalysisPlan.default()))
    assert verdict is not None
    assert verdict.word == Word.LIMITED
    assert "a is first untuned, b with 3 trials" in verdict.sentence


@pytest.fixture(scope="module")
def tuned_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of two methods with a folder of their trials, as tuning writes it."""
    root = tmp_path_factory.mktemp("tuned") / "study"
    size = {"seeds": 2, "n_images": 8, "classes": 3, "gains": METHOD_GAIN | {"focal": 0.05} | GAINS}
    write_synthetic_study(root, methods=("cross_entropy", "focal"), **size)
    labels = [f"{method}.t{number}" for method in ("cross_entropy", "focal") for number in range(TRIALS)]
    settings = {"control": "cross_entropy.t0"}
    folder = root / "tuning"
    write_synthetic_study(folder, methods=labels, **size, analysis=settings)
    section = TuningSection(trials=TRIALS, seeds=(0, 1))
    records = StudyRecords.open(folder)
    chosen = choose({m: [trial(m, n) for n in range(TRIALS)] for m in ("cross_entropy", "focal")}, records, section)
    write_choices(folder, [chosen], records, section)
    return root


def trial(method: str, number: int) -> Any:
    entry = parse_method({"name": method, "label": f"{method}.t{number}"}, "test")
    return Trial(number, entry, {"gamma": 1.0 + number} if number else {}, {})


def test_a_tuned_study_is_analysed_reported_and_drawn(tuned_root: Path) -> None:
    found = analyze_study(tuned_root)
    summary = found.tables["tuning"].set_index("method")
    assert summary["winner"].to_dict() == {"cross_entropy": 0, "focal": 1}
    assert summary.loc["focal", "setting"] == "gamma 2"
    assert summary.loc["focal", "tuning_steps"] == TRIALS * 2 * STEPS
    assert summary.loc["focal", "study_steps"] == 2 * STEPS
    assert np.isfinite(summary[["validation_again", "test_again", "optimism_of_seeds"]].to_numpy()).all()
    assert len(found.tables["tuning_trials"]) == 2 * TRIALS
    assert len(found.tables["tuning_budgets"]) == 2 * TRIALS
    words = {(each.aspect, each.method): each.word for each in found.verdicts if each.topic == Topic.TUNING}
    assert words["effect", "focal"] == Word.BETTER
    assert ("effect", "cross_entropy") not in words
    text = build_report(tuned_root).read_text()
    assert 'id="tuning"' in text
    assert "Tuning made focal better" in text
    figure = draw_figure("tuning", AnalysedStudy.open(tuned_root))
    assert len(figure.axes) == 2
    lines = [line.get_ydata() for line in figure.axes[0].lines if len(line.get_xdata()) == TRIALS]  # pyright: ignore[reportArgumentType]
    curve = found.tables["tuning_budgets"].query("method == 'focal'")["validation"].to_numpy()
    assert any(np.allclose(np.asarray(line), curve) for line in lines)


def test_a_study_without_tuning_has_no_chapter(tmp_path: Path) -> None:
    root = write_synthetic_study(tmp_path / "plain", methods=("cross_entropy", "focal"), seeds=1, n_images=6, classes=3)
    found = analyze_study(root)
    assert all(found.tables[name].empty for name in found.tables if name.startswith("tuning"))
    assert not [each for each in found.verdicts if each.topic == Topic.TUNING]
    assert 'id="tuning"' not in build_report(root).read_text()


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("trials", 1, "validation"), 0.99, "its records give"),
        (("winner",), 2, "is not the best on validation"),
        (("winner",), 9, "not readable"),
    ],
)
def test_choices_that_the_records_do_not_give_are_refused(
    tuned_root: Path, tmp_path: Path, place: tuple[Any, ...], value: object, told: str
) -> None:
    root = shutil.copytree(tuned_root, tmp_path / "study")
    path = root / "tuning" / "choices.json"
    content = json.loads(path.read_text())
    part = content["methods"]["focal"]
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    write_json(path, content)
    with pytest.raises(UserError, match=told):
        read_tuning(StudyRecords.open(root))
    found = analyze_study(root)
    assert found.tables["tuning"].empty
    assert any(each.aspect == "tuning" and each.word == Word.LIMITED for each in found.verdicts)
