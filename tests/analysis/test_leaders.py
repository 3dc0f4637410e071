"""Who leads: a greater mean is marked only where the statistics carry it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis.scoring.units import method_units
from analysis.statistics.intervals import Uncertainty
from analysis.study.runs import AnalysisPlan, read_study
from analysis.topics import leaders as module
from analysis.topics.context import Context
from analysis.topics.leaders import analyze, leaders
from analysis.topics.scores import class_scores, method_scores
from imbalance_bench.records import StudyRecords
from tests.analysis.synthetic import write_synthetic_study


def context_of(root: Path) -> Context:
    records = StudyRecords.open(root)
    return Context(
        records=records,
        study=read_study(records),
        plan=AnalysisPlan.of(records),
        report=lambda *_: None,
        cache_dir=root / "cache",
    )


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    root = tmp_path_factory.mktemp("leaders") / "study"
    methods = ("cross_entropy", "inverse_frequency", "focal", "dfa")  # true gains 0, -.04, 0, +.08
    return context_of(write_synthetic_study(root, methods=methods, seeds=3, n_images=14, classes=3))


def test_marks_follow_the_planted_order(context: Context) -> None:
    written = analyze(context)
    macro = written.tables["leaders"].query("`class` == 'macro'").set_index("method")
    marks = macro["mark"].to_dict()
    assert marks["dfa"] == "best"
    assert marks["cross_entropy"] == marks["focal"] == "shared_second"  # equal by construction
    assert (macro["difference"].dropna() <= 0).all()
    (verdict,) = written.verdicts
    assert (verdict.word, verdict.subject) == ("better", "dfa")


def test_means_are_those_of_the_scores(context: Context) -> None:
    scores = method_scores(context.study, context.units)
    unit = "per_group" if context.unit == "group" else "per_image"
    kept = scores[(scores["metric"] == "dice") & (scores["aggregation"] == unit)]
    expected = kept.set_index(["method", "class"])["mean"]
    marked = analyze(context).tables["leaders"].set_index(["method", "class"])["mean"]
    assert marked.to_numpy() == pytest.approx(expected.loc[marked.index].to_numpy())


def test_a_run_among_others_scores_as_it_does_alone(context: Context) -> None:
    scored = class_scores(context.study).set_index("run_id")["value"]
    for run in context.study.data[:4]:
        alone = class_scores(replace(context.study, data=(run,)))
        np.testing.assert_allclose(scored.loc[run.run_id], alone["value"], rtol=1e-12)


def test_a_class_is_tested_as_in_the_whole_comparison(context: Context) -> None:
    names, marked = context.study.class_names, analyze(context).tables["leaders"].dropna(subset="difference")
    pairing = module.study_pairing(context.study, context.units, context.unit)
    for name in names:
        row = marked[marked["class"] == name].iloc[0]
        pairs = pairing.pair(row["method"], row["leader"])
        assert pairs is not None
        tests = module.pair_tests(pairs, names, module.rules_of(context.plan), {})
        whole = next(each for each in tests if each.keys["class"] == name)
        assert row[["low", "high"]].tolist() == pytest.approx(whole.uncertainty.interval(0.95))
        assert (row["difference"], row["p"]) == (pytest.approx(whole.uncertainty.estimate), pytest.approx(whole.p))


def test_methods_are_paired_on_the_seeds_that_both_have_finished(context: Context) -> None:
    kept = tuple(run for run in context.study.data if (run.method, run.seed) != ("dfa", 1))
    study = replace(context.study, data=kept)
    units = method_units(study, "image")
    pairs = module.study_pairing(study, units, "image").pair("dfa", "focal")
    assert pairs is not None
    np.testing.assert_array_equal(pairs.method, module.unit_dice(units["dfa"]))
    np.testing.assert_array_equal(pairs.control, module.unit_dice(units["focal"])[[0, 2]])


def test_an_easy_seed_that_one_method_alone_has_makes_no_leader(context: Context) -> None:
    """Its mean over all of its runs was the greatest, and the better method was said to be behind it."""
    easy = next(run for run in context.study.data if (run.method, run.seed) == ("inverse_frequency", 2))
    counts = easy.counts.assign(tp=easy.counts["tp"] + easy.counts["fp"] + easy.counts["fn"], fp=0, fn=0)
    data = [replace(run, counts=counts) if run is easy else run for run in context.study.data]
    names = ("inverse_frequency", "cross_entropy")
    kept = tuple(run for run in data if run.method in names and (run.method, run.seed) != ("cross_entropy", 2))
    study = replace(context.study, data=kept)
    units = method_units(study, "image")
    alone = {name: np.nanmean(module.unit_dice(units[name])) for name in names}
    assert alone["inverse_frequency"] > alone["cross_entropy"]
    macro = leaders(study, units, context.plan, "image").query("`class` == 'macro'")
    assert macro["method"].tolist() == ["cross_entropy", "inverse_frequency"]
    assert macro["mean"].iloc[0] == pytest.approx(alone["cross_entropy"])


def test_a_method_is_behind_only_where_its_difference_is_negative(
    monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    ahead = Uncertainty(0.1, 0.02, np.ones(1), np.array([8.0]))
    monkeypatch.setattr(module, "pair_tests", lambda *_, **__: [SimpleNamespace(p=1e-4, n_units=9, uncertainty=ahead)])
    tiers = module._Tiers(
        context.study, ["dfa", "focal"], context.plan, module.study_pairing(context.study, context.units, "image")
    )
    marks = {row["method"]: row["mark"] for row in tiers.of("macro", {"dfa": 0.7, "focal": 0.6})}
    assert marks == {"dfa": "shared_best", "focal": "shared_best"}


def fake_tiers(
    monkeypatch: pytest.MonkeyPatch, context: Context, p: Mapping[frozenset[str], float], means: Mapping[str, float]
) -> dict[str, str]:
    """Sort methods whose means and pairwise p values are given."""

    def pair(_: object, method: str, leader: str) -> frozenset[str]:
        return frozenset({method, leader})

    def compare(pairs: frozenset[str], *_: object, **__: object) -> list[object]:
        known = Uncertainty(-0.1, 0.05, np.ones(1), np.array([8.0]))
        return [SimpleNamespace(p=p[pairs], n_units=9, uncertainty=known)]

    monkeypatch.setattr(module.Pairing, "pair", pair)
    monkeypatch.setattr(module, "pair_tests", compare)
    tiers = module._Tiers(
        context.study, list(means), context.plan, module.study_pairing(context.study, context.units, "image")
    )
    return {row["method"]: row["mark"] for row in tiers.of("macro", dict(means))}


def test_corrected_for_all_pairs_because_the_leader_is_chosen_after_looking(
    monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    names: tuple[str, ...] = ("dfa", "focal", "cross_entropy")  # three pairs: .05 / 3 = .0167
    means = {"dfa": 0.7, "focal": 0.6, "cross_entropy": 0.5}
    pairs = [frozenset({names[0], names[1]}), frozenset({names[0], names[2]}), frozenset({names[1], names[2]})]
    clear = fake_tiers(monkeypatch, context, dict(zip(pairs, (0.016, 0.001, 0.016), strict=True)), means)
    assert list(clear.values()) == ["best", "second", "behind"]
    close = fake_tiers(monkeypatch, context, dict(zip(pairs, (0.017, 0.001, 0.001), strict=True)), means)
    assert list(close.values()) == ["shared_best", "shared_best", "second"]


def test_there_is_no_second_above_an_uncertain_first(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    # focal is shown to be behind; cross_entropy, lower still, is not
    p = {frozenset({"dfa", "focal"}): 0.001, frozenset({"dfa", "cross_entropy"}): 0.5}
    marks = fake_tiers(monkeypatch, context, p, {"dfa": 0.7, "focal": 0.6, "cross_entropy": 0.5})
    assert marks == {"dfa": "shared_best", "cross_entropy": "shared_best", "focal": "behind"}


def test_absent_classes_and_single_methods_get_no_place(tmp_path: Path) -> None:
    root = write_synthetic_study(
        tmp_path / "one", methods=("focal",), seeds=2, n_images=5, classes=3, absent_class=True, rng_seed=1
    )
    one = context_of(root)
    frame = leaders(one.study, method_units(one.study, "image"), one.plan, "image")
    assert set(frame["mark"]) == {"alone"}
    assert not analyze(one).verdicts
    tiers = module._Tiers(one.study, ["focal", "dfa"], one.plan, module.study_pairing(one.study, one.units, "image"))
    assert {row["mark"] for row in tiers.of("macro", {"focal": np.nan, "dfa": np.nan})} == {"absent"}
    assert isinstance(frame, pd.DataFrame)
