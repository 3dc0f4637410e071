"""Rare or hard, through the tables that anyone can bring: planted truths, refusals, worlds that must not deceive."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.explain import TABLES, Explained, explain
from analysis.explanation.evidence import corrected
from analysis.schema import TABLES as SCHEMA
from analysis.statistics.corrections import holm
from analysis.study.class_frames import measures_frame, quantities_frame
from analysis.verdicts import Topic, Verdict, Word
from benchmarks.calibration.worlds import World, draw
from benchmarks.held_back.classes import crowd
from benchmarks.planted_truth import EXPLANATIONS, INERTIA, Truth, answer, plan, rates
from imbalance_bench.errors import UserError

QUICK = ("difficulty only", "frequency only, correlated .98", "seeds disagree", "the prior decays")
FREQUENCY = World((6, 6), slopes=(1, 0, 0, 0))


def frames(world: World = FREQUENCY, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    return draw(world, np.random.default_rng(seed))


def explained(world: World = FREQUENCY, seed: int = 0, **changes) -> Explained:
    return explain(*frames(world, seed), {"permutations": 499, "resamples": 30} | changes)


def headline(found: Explained) -> Verdict:
    return next(each for each in found.verdicts if each.topic == Topic.EXPLANATION)


@pytest.mark.parametrize(
    ("truth", "at_least"),
    [
        *((each, 2) for each in EXPLANATIONS if len(each.world.classes) == 2 and each.name in QUICK),
        *((each, 2) for each in EXPLANATIONS if len(each.world.classes) == 1 and not each.hypotheses),
    ],
    ids=lambda each: each.name if isinstance(each, Truth) else "",
)
def test_planted_truths_are_found(truth, at_least):
    """The rates over many studies are printed by the benchmark."""
    counted = rates(truth, 3, seed=1)
    assert counted[truth.expected] >= at_least, counted
    wrong = {"supported: frequency", "supported: difficulty"} - {truth.expected}
    assert not any(counted[each] for each in wrong)


@pytest.mark.parametrize("truth", INERTIA, ids=lambda each: each.name)
def test_planted_inertia_is_found(truth):
    counted = rates(truth, 6, seed=1)
    assert counted[truth.expected] >= 4, counted
    assert not counted["inertia" if truth.expected == "not_supported" else "not_supported"]


def test_nothing_is_rarely_supported():
    counted: Counter[str] = rates(EXPLANATIONS[0], 10, seed=2)
    assert sum(n for word, n in counted.items() if word.startswith("supported")) <= 2


def test_the_primary_hypothesis_makes_five_classes_testable():
    world = World((5,), slopes=(1, 0, 0, 0), class_noise=0.01, seed_noise=0.05)
    assert headline(explained(world)).word == Word.NOT_TESTABLE
    found = headline(explained(world, hypotheses=["frequency"]))
    assert (found.word, found.numbers["follows"], found.numbers["evidence"]) == (
        Word.SUPPORTED,
        "pixel_share",
        "marginal",
    )
    other = explained(world, hypotheses=["boundary", "frequency"])
    assert (
        headline(other).word != Word.SUPPORTED
    )  # the first of the sequence is not found, so that the second is not asked
    associated = other.tables["associations"].set_index("construct")
    assert associated["primary"].to_dict() == {
        "frequency": True,
        "boundary": True,
        "morphology": False,
        "context": False,
    }
    assert associated["p_holm"]["frequency"] >= associated["p_holm"]["boundary"]


def test_several_data_sets_can_show_what_one_cannot():
    three = explained(World((5, 5, 5), slopes=(1, 0, 0, 0))).tables
    assert headline(explained(World((5,), slopes=(1, 0, 0, 0)))).word == Word.NOT_TESTABLE
    assert three["associations"]["min_p"].max() < 1e-4
    assert three["partial_associations"].set_index("construct")["residual_df"]["frequency"] == 15 - 3 - 4


def test_names_that_recur_count_once():
    found = explained(World((6, 6), slopes=(1, 0, 0, 0), same_names=True)).tables
    assert set(found["associations"]["n_classes"]) == {6}
    assert set(found["partial_associations"]["n_classes"]) == {6}
    assert set(found["mixed_models"]["n_names"]) == {6}
    twice = frames(World((6,), slopes=(1, 0, 0, 0)))
    copied = [pd.concat([each, each.assign(data_set="a copy")]) for each in twice]
    once, both = (explain(each[0], each[1], {"permutations": 499}) for each in (twice, copied))
    pd.testing.assert_series_equal(
        once.tables["associations"]["p_spearman"], both.tables["associations"]["p_spearman"], check_exact=False
    )


def test_classes_of_a_family_are_compared_with_one_another():
    quantities, measures = frames(World((12,), families=3, slopes=(1, 0, 0, 0)))
    shifted = quantities.assign(value=quantities["value"] + 50 * quantities["family"].str[-1].astype(int))
    found, again = (explain(each, measures, {"permutations": 499}) for each in (quantities, shifted))
    for name in ("associations", "partial_associations"):
        pd.testing.assert_frame_equal(found.tables[name], again.tables[name])
    assert "no families are given" not in headline(found).sentence


def test_one_start_never_shows_what_was_learned_and_several_do():
    learned = {"slopes": (0, 1, 0, 0), "start": 1.0, "kept": 0.3}
    one = explained(World((10, 10), **learned))
    assert not [each for each in one.verdicts if each.word == Word.SUPPORTED]
    assert "shuffled or inverted" in headline(one).sentence
    several = explained(World((10, 10), **learned, starts=("prior", "cold", "inverted")))
    assert headline(several).numbers["follows"] == "difficulty"
    stays = explained(World((10, 10), slopes=(0, 0.2, 0, 0), start=1, kept=1, starts=("prior", "cold", "inverted")))
    assert headline(stays).word == Word.INERTIA


def test_a_change_and_an_end_are_one_question_given_the_start():
    """A constant share of the start, added to every end, changes no test."""
    quantities, measures = frames(World((6, 6), slopes=(0, 1, 0, 0), start=1, kept=0.5))
    changes = quantities.assign(value=quantities["value"] - quantities["start"])
    found, again = (explain(each, measures, {"permutations": 499}) for each in (quantities, changes))
    columns = ["construct", "r2", "p", "min_p", "residual_df"]
    pd.testing.assert_frame_equal(
        found.tables["partial_associations"][columns], again.tables["partial_associations"][columns]
    )


def test_errors_of_measures_take_back_what_they_make():
    world = World((10, 10), slopes=(0, 1, 0, 0), correlation=0.7, reliability=0.6)
    rows = [explained(world, seed).tables["partial_associations"].set_index("construct") for seed in range(6)]
    plain = sum(each["p_uncalibrated"]["frequency"] < 0.05 for each in rows)
    assert plain > sum(each["p"]["frequency"] < 0.05 for each in rows)
    assert all((each["p"] >= each["p_uncalibrated"]).all() for each in rows)
    assert rows[0]["reliability"]["frequency"] < 0.9
    unknown = explained(replace(world, slopes=(1, 0, 0, 0), errors_known=False))
    assert headline(unknown).word == Word.SUPPORTED
    assert "Measurement error can explain" in headline(unknown).sentence
    assert "unknown" in headline(unknown).sentence


def test_absence_of_evidence_is_called_that():
    found = next(
        each for seed in range(5) if (each := headline(explained(World((10, 10), class_noise=1.0), seed)))
        and each.word == Word.NOT_SUPPORTED
    )  # fmt: skip
    assert "absence of evidence" in found.sentence
    assert "not shown" in found.sentence


def test_the_headline_contradicts_no_section():
    for world in (FREQUENCY, World((10, 10), slopes=(1, 0, 0, 0), correlation=0.9), World((12,), class_noise=1.0)):
        for seed in range(3):
            found = explained(world, seed)
            below = [each for each in found.verdicts if each.topic in (Topic.PARTIAL_ASSOCIATION, Topic.MIXED_MODEL)]
            pair = [each for each in below if each.measure in ("frequency", "difficulty")]
            follows = headline(found).numbers["follows"].split("+")
            assert {each.measure for each in pair if each.word == Word.SUPPORTED} >= set(follows) - {""} or (
                headline(found).numbers["evidence"] == "marginal"
            )
            if headline(found).word == Word.NOT_SUPPORTED:
                assert not any(each.word == Word.SUPPORTED for each in below)


@pytest.mark.parametrize("k", [2, 3])
def test_two_and_three_classes_are_refused_with_the_reason(k):
    found = explained(World((k,), slopes=(1, 0, 0, 0), seed_noise=0.1))  # so that seeds agree
    words = {each.word for each in found.verdicts if each.topic not in (Topic.RELIABILITY, Topic.INERTIA)}
    assert words <= {Word.NOT_TESTABLE, Word.NOT_SEPARABLE}
    assert "no residual degree of freedom" in headline(found).sentence


def test_a_scale_of_one_data_set_changes_nothing():
    world = World((6, 6), slopes=(1, 0, 0, 0))
    for first, second in zip(
        *(explained(each).tables.values() for each in (world, replace(world, scales=(1, 50)))), strict=True
    ):
        pd.testing.assert_frame_equal(first, second, rtol=1e-6)


def test_a_measure_that_is_constant_in_one_data_set_is_left_out_there():
    quantities, measures = frames(World((6, 6), slopes=(1, 0, 0, 0)))
    constant = (measures["data_set"] == "data set 1") & (measures["construct"] == "boundary")
    found = explain(quantities, measures.assign(value=measures["value"].where(~constant, 1.0)), {"permutations": 499})
    associated = found.tables["associations"].set_index("construct")
    assert np.isfinite(associated["p_spearman"]["boundary"])
    assert associated["n_classes"]["boundary"] == 6


def test_missing_measures_and_classes():
    quantities, measures = frames(World((8, 8), slopes=(1, 0, 0, 0)))
    gone = (measures["construct"] == "context") & (measures["data_set"] == "data set 0")
    one = (measures["construct"] == "boundary") & (measures["class"] == "class 0.3")
    lacking = measures.assign(value=measures["value"].where(~(gone | one)))
    found = explain(quantities, lacking, {"permutations": 499}).tables
    assert set(found["partial_associations"]["n_classes"]) == {15}
    assert "context" not in set(found["partial_associations"]["construct"])
    without = explain(quantities, measures.iloc[:0], {"permutations": 499})
    assert headline(without).word == Word.NOT_TESTABLE
    assert without.tables["partial_associations"].empty
    nothing = measures.assign(value=np.where(measures["construct"] == "frequency", 0.0, measures["value"]))
    assert headline(explain(quantities, nothing, {"permutations": 499})).numbers["evidence"] == "marginal"


def test_runs_may_differ_in_number_between_data_sets():
    quantities, measures = frames(World((6, 6), slopes=(1, 0, 0, 0)))
    fewer = quantities[(quantities["data_set"] == "data set 0") | (quantities["seed"] < 2)]
    found = explain(fewer, measures, {"permutations": 499}).tables
    assert set(found["reliability"]["n_seeds"]) == {2}
    assert set(found["mixed_models"]["n_rows"]) == {6 * 4 + 6 * 2}


def test_intervals_say_what_they_resample():
    for classes, what in (((5, 5, 6), "classes"), ((6,), "runs"), ((5,), "")):
        found = explained(World(classes, slopes=(1, 0, 0, 0))).tables["partition"]
        shares = found[found["kind"] == "share"].set_index("component")
        assert set(shares["resampled"]) - {""} == ({what} if what else set())
        assert shares["low"].isna()["total"]
    assert len(found[found["kind"] == "commonality"]) == 15
    assert found[found["kind"] == "dominance"]["vif"].notna().all()


def test_tables_are_those_of_the_schema_and_same_frames_give_the_same_bits():
    first, second = explained(), explained()
    assert tuple(first.tables) == TABLES
    for name, frame in first.tables.items():
        assert list(frame.columns) == list(SCHEMA[name].columns)
        assert not frame.duplicated(list(SCHEMA[name].key)).any()
        pd.testing.assert_frame_equal(frame, second.tables[name])
    assert [each.as_json() for each in first.verdicts] == [each.as_json() for each in second.verdicts]
    assert first.word("dfa") == headline(first).word


def test_a_measure_that_was_not_taken_is_not_said_to_be_constant():
    quantities, measures = frames(FREQUENCY)
    name = str(measures["measure"].iloc[-1])
    unknown = measures["measure"] == name
    for value, reason in (
        (np.nan, "the measure is not known of two classes of one data set."),
        (1.0, "one of them does not vary."),
    ):
        found = explain(quantities, measures.assign(value=measures["value"].mask(unknown, value)), {"permutations": 99})
        said = [each for each in found.verdicts if each.topic == Topic.ASSOCIATION and each.measure == name]
        assert said
        assert all(each.word == Word.NOT_TESTABLE and each.sentence.endswith(reason) for each in said)


def test_folds_are_judged_by_other_training_sets():
    found = explained(World((8,), class_noise=0, fold_noise=1, folds=5, seeds=3))
    agree = {each.aspect: each for each in found.verdicts if each.topic == Topic.RELIABILITY}
    assert agree["seeds"].word == Word.RELIABLE
    assert agree[""].word == Word.UNRELIABLE
    assert "Training sets" in agree[""].sentence
    assert headline(found).word == Word.UNRELIABLE
    assert "training sets are not shown to agree" in headline(found).sentence


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda q, m: (q.drop(columns="class"), m), "must have a column `class`"),
        (lambda q, m: (q.rename(columns={"family": "famly"}), m), "Did you mean `family`"),
        (lambda q, m: (q.assign(value=["a"] * len(q)), m), "`value` must be a number. Got 'a'"),
        (lambda q, m: (pd.concat([q, q]), m), "Tell runs that differ in their start apart by `start_name`"),
        (lambda q, m: (q, pd.concat([m, m])), "must have one value of a measure"),
        (lambda q, m: (q, m.assign(construct="boundry")), "Did you mean 'boundary'"),
    ],
)
def test_a_wrong_frame_is_refused_in_one_line(change, told):
    with pytest.raises(UserError, match=told.replace("`", "[`]").replace("'", "[']")):
        explain(*change(*frames()))


def test_a_wrong_plan_is_refused_in_one_line():
    for wrong, told in (({"alfa": 0.1}, "alfa"), ({"hypotheses": ["rarity"]}, "hypotheses"), ({"alpha": 2}, "alpha")):
        with pytest.raises(UserError, match=told):
            explain(*frames(), wrong)


def test_frames_may_be_as_people_write_them():
    quantities, measures = frames()
    spoken = quantities.rename(columns={"data_set": "Data set"}).assign(model="unet", comment="hello")
    assert quantities_frame(spoken)["method"].unique().tolist() == ["dfa"]
    own = measures[measures["construct"] != "context"].rename(columns={"standard_error": "standard error"})
    assert set(measures_frame(own.drop(columns="construct"))["construct"]) == {"frequency", "boundary", "morphology"}
    logs = own.assign(value=own["value"].where(own["construct"] != "frequency", np.log(own["value"].abs())))
    pd.testing.assert_frame_equal(measures_frame(own), measures_frame(logs))


def test_the_default_plan_is_that_of_a_study_file():
    assert plan(3).alpha == 0.05
    assert answer(EXPLANATIONS[1], 5).startswith("supported: frequency")


def test_a_primary_hypothesis_is_one_family_over_methods_since_a_headline_may_rest_on_it_alone():
    """Before it was, four equal methods had a supported headline in 15 % of null studies (K = 8)."""
    (part, runs), *_ = crowd(8, np.random.default_rng(0))
    quantities = part.quantities(runs)
    measures = part.measures(np.random.default_rng(1)).query("measure == 'pixel_share'")
    plan = {"permutations": 99, "resamples": 2}
    rows = {
        kind: explain(quantities, measures, plan | {"hypotheses": hypotheses}).tables["associations"].query("primary")
        for kind, hypotheses in (("named", ["frequency"]), ("none", []))
    }
    assert len(rows["named"]) == len(rows["none"]) == 4
    np.testing.assert_allclose(rows["named"]["p_holm"], holm(rows["named"]["p_spearman"].to_numpy()))
    np.testing.assert_allclose(rows["none"]["p_holm"], rows["none"]["p_spearman"])


def planted(y: np.ndarray, measures: dict[str, tuple[str, np.ndarray]], **changes) -> Explained:
    """Explain one quantity over the classes of one data set, from runs that nearly agree."""
    rng, names = np.random.default_rng(0), [f"c{i}" for i in range(len(y))]
    quantities = pd.DataFrame(
        [
            ("d", "dfa", name, seed, value + 0.02 * rng.normal())
            for seed in range(3)
            for name, value in zip(names, y, strict=True)
        ],
        columns=["data_set", "method", "class", "seed", "value"],
    )
    rows = [
        ("d", name, measure, construct, x)
        for measure, (construct, of) in measures.items()
        for name, x in zip(names, of, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["data_set", "class", "measure", "construct", "value"])
    return explain(quantities, frame, {"permutations": 500, "resamples": 20} | changes)


def test_no_single_construct_is_shown_beside_a_headline_that_finds_nothing():
    """They were a family of their own, so that two were "shown" under "no evidence"; searched among 400 worlds."""
    shown = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        frequency, boundary, morphology = rng.normal(size=(3, 8))
        measures = {
            "pixel_share": ("frequency", np.exp(frequency) / np.exp(frequency).sum()),
            "border_stain_overlap": ("boundary", boundary),
            "shape_dispersion": ("morphology", morphology),
        }
        found = planted(morphology + 0.8 * rng.normal(size=8), measures)
        rows = found.tables["partial_associations"].set_index("construct")
        single = rows.loc[["boundary", "morphology"]]
        assert (single["p_adjusted"] > 0.9999 * rows["p_adjusted"].loc[["difficulty"] * 2].to_numpy()).all()
        shown += int((single["verdict"] == Word.SUPPORTED).any())
        if headline(found).word == Word.NOT_SUPPORTED:
            assert Word.SUPPORTED not in set(single["verdict"])
    assert shown  # the gate does not close on everything


def test_the_reason_is_that_of_the_test_that_cannot_be_made():
    share = np.exp(np.linspace(-4, -1, 8))
    measures = {"pixel_share": ("frequency", share), "border_stain_overlap": ("boundary", np.full(8, 0.3))}
    sentence = headline(planted(np.log(share), measures)).sentence
    assert "cannot be told" in sentence
    assert "is shown" not in sentence
    assert sentence.endswith("follows difficulty beyond frequency cannot be tested: one of them does not vary.")


def test_a_construct_has_one_primary_measure_in_all_data_sets():
    quantities, measures = frames(World((6, 6)))
    other = measures["construct"] == "context"
    second = measures[other].assign(measure="rival_stain_overlap")
    stated = pd.concat([measures, second], ignore_index=True)
    in_second = stated["data_set"] == stated["data_set"].unique()[1]
    stated["primary"] = (stated["construct"] != "context") | ((stated["measure"] == "rival_stain_overlap") == in_second)
    with pytest.raises(UserError, match="one primary measure, the same in every data set"):
        explain(quantities, stated)


def test_the_interval_of_a_slope_is_of_the_fit_whose_p_decides():
    quantities, measures = frames(World((8, 8), slopes=(1, 0, 0, 0)))
    measures["reliability"] = np.where(measures["construct"] == "frequency", np.nan, 0.6)
    rows = explain(quantities, measures, {"permutations": 99, "resamples": 2}).tables["mixed_models"]
    inside = (rows["low"] < 0) & (rows["high"] > 0)
    assert len(rows)
    assert ((rows["p"] > 0.05) == inside).all()


def test_what_the_plan_does_not_name_waits_for_what_it_names():
    """It was not corrected at all: one of eight methods of noise alone was said to follow how hard a class is."""
    p, steps = [0.25, 0.005, 0.5, 0.9], [0, None, 0, None]
    np.testing.assert_allclose(corrected(p, steps), [0.5, 0.5, 0.5, 0.9])
    np.testing.assert_allclose(corrected([0.001, 0.005, 0.002, 0.9], steps), [0.002, 0.01, 0.002, 0.9])
    np.testing.assert_allclose(corrected(p, [None] * 4), holm(np.array(p)))


def test_runs_without_a_common_class_are_said_and_warn_of_nothing():
    names, seeds = [f"c{c}" for c in range(6)], range(3)
    values = [[float(c + s) if c != s else np.nan for c in range(6)] for s in seeds]  # each run lacks another class
    frames = [
        pd.DataFrame({"data_set": "d", "method": "dfa", "class": names, "seed": s, "value": values[s]}) for s in seeds
    ]
    measures = pd.DataFrame(
        {"data_set": "d", "class": names, "measure": "pixel_share", "value": np.geomspace(0.01, 0.5, 6)}
    )
    found = explain(pd.concat(frames), measures, {"permutations": 99, "resamples": 2})
    reliability = next(each for each in found.verdicts if each.topic == "reliability")
    assert "no run has a value of every class" in reliability.sentence


def _from(start: np.ndarray, kept: float = 0.0) -> Explained:
    """What is said of runs from these starts (R, K), which end in the difficulty of the classes and what is left."""
    rng, n_runs, n_classes = np.random.default_rng(3), *start.shape
    names = [f"class_{i}" for i in range(n_classes)]
    share, hard = rng.dirichlet(np.ones(n_classes)), rng.normal(size=n_classes)
    measures = pd.concat(
        pd.DataFrame({"data_set": "d", "class": names, "measure": measure, "construct": construct, "value": values})
        for measure, construct, values in (
            ("pixel_share", "frequency", share),
            ("border_stain_overlap", "boundary", hard),
        )
    )
    quantities = pd.concat(
        pd.DataFrame(
            {"data_set": "d", "method": "cross_entropy", "class": names, "seed": seed, "start": start[seed]}
        ).assign(
            value=hard + kept * np.nan_to_num(start[seed]) + 0.05 * rng.normal(size=n_classes),
            quantity="effective_offset",
        )
        for seed in range(n_runs)
    )
    return explain(quantities, measures, {"permutations": 999, "resamples": 30})


def test_a_start_that_each_seed_draws_anew_explains_nothing_that_runs_agree_on():
    """No cold, shuffled or inverted start could be had of a method without a prior."""
    found = _from(0.1 * np.random.default_rng(0).normal(size=(8, 12)), kept=0.5)
    assert (headline(found).word, headline(found).numbers["follows"]) == (Word.SUPPORTED, "difficulty")
    assert set(found.tables["associations"]["given"]) == {""}
    assert not any("the start may explain it" in verdict.sentence for verdict in found.verdicts)


def test_a_start_that_runs_share_may_explain_what_they_agree_on():
    shared = np.random.default_rng(0).normal(size=12)
    assert headline(_from(np.tile(0.1 * shared, (8, 1)))).word != Word.SUPPORTED
    assert headline(_from(0.1 * shared + 0.03 * np.random.default_rng(1).normal(size=(8, 12)))).word != Word.SUPPORTED


def test_one_unknown_start_does_not_lift_what_the_known_ones_forbid():
    start = np.tile(0.1 * np.random.default_rng(0).normal(size=12), (8, 1))
    assert headline(_from(start)).word == Word.NOT_SEPARABLE
    start[0, 0] = np.nan
    assert headline(_from(start)).word == Word.NOT_SEPARABLE
    assert headline(_from(np.full((8, 12), np.nan))).word == Word.SUPPORTED  # nothing says that it differs
