"""Power before training. Oracles: closed forms of Student's t, Kish-free designs, the functions that judge studies."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from scipy import stats

from analysis.explanation.association import corrected_associations
from analysis.pipeline import analyze_study
from analysis.power.associations import AssociationDesign, association_power, critical_correlation, power_over
from analysis.power.comparisons import ComparisonDesign, SimulatedStudies, threshold, ways
from analysis.power.division import Division
from analysis.power.pilot import pilot_spread
from analysis.scoring.comparisons import pair_tests
from analysis.scoring.image_rows import Folds
from analysis.scoring.spread import Spread, components, n_folds
from analysis.study.runs import AnalysisPlan, read_study
from analysis.topics import announced_power
from analysis.topics.announced_power import folds_differ_more, is_larger, power_verdict
from analysis.topics.context import Context
from analysis.topics.method_comparison import comparison_tests
from analysis.verdicts import Word
from imbalance_bench.analysis_section import AnalysisSection
from imbalance_bench.cli.main import main
from imbalance_bench.cli.power_view import designs, short_form, sizes_of
from imbalance_bench.config import load_study
from imbalance_bench.preregistration import PRIMARY_ESTIMANDS, PRIMARY_MEASURES
from imbalance_bench.records import StudyRecords
from tests.analysis.synthetic import write_synthetic_study
from tests.small_study import write_dataset, write_study

SUPPOSED = {"classes": (5,), "shared_names": 0, "correlation": 0.8, "measure_reliability": 1.0, "tests": 8}
DESIGN = ComparisonDesign(slides=14, seeds=3, methods=1, slide_sd=0.03, seed_sd=0.0)


def test_folds_of_one_division_are_counted_also_where_it_is_repeated():
    units, folds = np.arange(12), np.arange(12) % 4
    once, twice = Folds.of(units, folds), Folds.of(np.tile(units, 2), np.append(folds, 4 + units // 3))
    rotated = Folds.of(np.repeat(units, 3), np.tile(np.arange(3), 12))
    assert [n_folds(each) for each in (None, once, twice, rotated)] == [1, 4, 4, 1]


@pytest.mark.parametrize(("methods", "seed_sds"), [(1, 2.5), (4, 5.1), (14, 9.6)])
def test_seeds_alone_ask_for_what_student_says(methods, seed_sds):
    found = threshold(replace(DESIGN, slide_sd=0.0, seed_sd=0.01, methods=methods))
    assert found.by_slides == 0
    assert found.together == found.by_seeds == pytest.approx(0.01 * seed_sds, rel=0.02)  # STATISTICS: t(2) / sqrt 3


def test_parts_add_like_standard_errors():
    found = threshold(replace(DESIGN, seed_sd=0.01, methods=4))
    assert found.by_slides == pytest.approx(stats.t.ppf(1 - 0.05 / 8, 13) * 0.03 / np.sqrt(14))
    assert found.together == pytest.approx(np.hypot(found.by_slides, found.by_seeds))
    assert threshold(replace(DESIGN, slides=1)).together == float("inf")


def test_power_of_one_comparison_without_seed_noise_is_that_of_students_t():
    one = replace(DESIGN, seeds=1)
    difference = 2.8 * 0.03 / np.sqrt(14)
    reach = stats.t.ppf(0.975, 13)
    expected = stats.nct.sf(reach, 13, 2.8) + stats.nct.cdf(-reach, 13, 2.8)
    drawn = SimulatedStudies.draw(one, seed=0, n=600)
    shares = drawn.probabilities(difference)
    assert shares[Word.BETTER] == pytest.approx(expected, abs=0.06)
    assert sum(shares.values()) == pytest.approx(1)
    null = drawn.probabilities(0.0)
    assert null[Word.BETTER] + null[Word.WORSE] <= 0.075  # the family errs in 5 %


def test_the_smallest_difference_is_found_in_four_of_five_studies():
    drawn = SimulatedStudies.draw(DESIGN, seed=1, n=200)
    smallest = drawn.smallest_difference()
    assert drawn.probabilities(smallest)[Word.BETTER] == pytest.approx(0.8, abs=0.01)
    assert drawn.probabilities(0.8 * smallest)[Word.BETTER] < 0.8
    few = SimulatedStudies.draw(replace(DESIGN, slides=5), seed=1, n=20)
    assert few.probabilities(1.0)[Word.NOT_TESTABLE] == 1
    assert few.smallest_difference() == float("inf")


def test_equal_methods_with_small_noise_are_equivalent():
    drawn = SimulatedStudies.draw(replace(DESIGN, slide_sd=0.005), seed=2, n=40)
    assert drawn.probabilities(0.0)[Word.EQUIVALENT] > 0.9


def test_ways_reach_the_power_and_say_where_they_do_not():
    seeds, slides, both = ways(replace(DESIGN, seed_sd=0.01, noise_sd=0.01), 0.03, seed=0, n=50)
    assert seeds.enough
    assert (seeds.slides, seeds.folds, seeds.runs) == (14, 1, 2 * seeds.seeds)
    assert not slides.enough  # three seeds ask for 2.5 SDs, whatever the slides
    assert slides.seeds == 3
    assert both.enough
    assert both.seeds <= seeds.seeds


CROSS_VALIDATED = replace(DESIGN, slides=18, seeds=8, seed_sd=0.01, folds=4)


def test_cross_validation_is_judged_with_the_part_of_folds():
    """As `analyze` judges it: the same studies, judged as of one test set, are far more often better."""
    one_test_set = SimulatedStudies.draw(replace(CROSS_VALIDATED, folds=1), seed=0, n=60)
    folds = Folds.of(np.arange(18), np.arange(18) % 4)
    judged = [
        tuple(
            pair_tests(replace(test.pairs, folds=folds), ("a",), CROSS_VALIDATED.rules, test.keys, only="a")[0]
            for test in study
        )
        for study in one_test_set.studies
    ]
    expected = SimulatedStudies(CROSS_VALIDATED, tuple(judged)).probabilities(0.03)
    drawn = SimulatedStudies.draw(CROSS_VALIDATED, seed=0, n=60)
    assert drawn.probabilities(0.03) == expected
    assert drawn.probabilities(0.03)[Word.BETTER] < one_test_set.probabilities(0.03)[Word.BETTER] - 0.2
    assert drawn.smallest_difference() > 1.3 * one_test_set.smallest_difference()


@pytest.mark.parametrize("fold_sd", [0.0, 0.02])
def test_the_difference_that_is_needed_knows_the_folds_as_far_apart_as_simulated_ones(fold_sd):
    design = replace(CROSS_VALIDATED, slides=16, seeds=3, noise_sd=0.02, fold_sd=fold_sd)
    found, t = threshold(design), stats.t.ppf(1 - 0.05 / 2, 3)
    of_slides = (0.03**2 + 0.02**2 / 3) / 4  # four slides in each fold, three seeds
    assert found.by_folds == pytest.approx(t * np.sqrt((1 / 4 + 1 / 3) * (fold_sd**2 + of_slides)))  # Nadeau, Bengio
    assert found.together == pytest.approx(np.hypot(found.by_folds, found.by_seeds))
    errors = [study[0].uncertainty.fold_error for study in SimulatedStudies.draw(design, seed=3, n=400).studies]
    assert t * np.sqrt(np.mean(np.square(errors))) == pytest.approx(found.by_folds, rel=0.07)
    assert threshold(replace(design, folds=1)).by_folds == 0


def test_training_sets_are_drawn_as_the_interval_over_folds_supposes():
    """The mean over F folds then varies by fold_sd^2 (1 / F + 1 / (F - 1)), and equal methods are called so."""
    design = replace(CROSS_VALIDATED, slides=8, seeds=1, seed_sd=0.0, slide_sd=0.0, fold_sd=0.02)
    drawn = SimulatedStudies.draw(design, seed=0, n=400)
    means = [study[0].uncertainty.estimate for study in drawn.studies]
    assert np.std(means) == pytest.approx(0.02 * np.sqrt(1 / 4 + 1 / 3), rel=0.1)
    null = drawn.probabilities(0.0)
    assert 0.01 < null[Word.BETTER] + null[Word.WORSE] <= 0.075  # the family errs in 5 %


def test_every_fold_is_trained_and_more_folds_are_a_way():
    assert replace(CROSS_VALIDATED, methods=4, repeats=5).trainings == 5 * 8 * 4 * 5  # five methods, control included
    *_, folds = ways(replace(CROSS_VALIDATED, seed_sd=0.0), 0.035, seed=0, n=40)
    assert (folds.changes, folds.enough, folds.seeds, folds.slides) == ("more folds", True, 8, 18)
    assert 4 < folds.folds <= 18
    assert folds.runs == 2 * 8 * folds.folds


def test_folds_that_test_other_slides_are_a_division_and_the_rest_repeats_it():
    a, b, c, d = (frozenset(names) for names in ("uvw", "xyz", "uxy", "vwz"))
    for tested, found in (
        ([a], (3, 1, 1)),
        ([a, b], (6, 2, 1)),
        ([a, b, c, d], (6, 2, 2)),  # repeated cross-validation
        ([a, a, a], (3, 1, 3)),  # one test set, other training sets
        ([a, b, c], (3, 1, 3)),
    ):
        division = Division.of(tested)
        assert (division.slides, division.folds, division.repeats) == found
        assert bool(division.remarks()) == (division.repeats > 1)


def test_names_that_recur_count_once():
    design = AssociationDesign((5, 5, 6), shared_names=4, correlation=0.8, reliability=0.7)
    assert design.names == 8
    assert design.seen_correlation == pytest.approx(0.8 * np.sqrt(0.7))
    found = association_power(design, seed=0)
    assert (found.names, found.classes_for_one, found.classes_needed) == (8, 5, 6)
    assert found.power < found.uncorrected < association_power(replace(design, reliability=1.0), seed=0).uncorrected
    alike = association_power(replace(design, shared_names=0), seed=0)
    assert alike.names == 16
    assert alike.power > found.power


def test_critical_correlations_continue_beyond_exact_classes():
    assert critical_correlation(5, 0.05) == 1
    assert np.isnan(critical_correlation(4, 0.05))
    assert critical_correlation(10, 0.05) == pytest.approx(0.648, abs=0.001)  # tables of Spearman's rho
    assert critical_correlation(11, 0.05) == pytest.approx(0.618, abs=0.02)
    assert power_over(4, 0.9, 0.05, 0) == 0


def test_components_come_back():
    rng = np.random.default_rng(0)
    values = 3 * rng.normal(size=400) + 2 * rng.normal(size=(300, 1)) + rng.normal(size=(300, 400))
    assert components(values) == pytest.approx((3, 2, 1, 0), rel=0.12)


def test_components_of_folds_come_back_and_are_none_of_the_slides():
    """Oracle: the deviations that were drawn. Folds of unequal size, as splits by slide have them."""
    rng = np.random.default_rng(1)
    folds = np.repeat(np.arange(150), rng.integers(2, 6, 150))
    values = 3 * rng.normal(size=len(folds)) + 4 * rng.normal(size=150)[folds] + rng.normal(size=(2, len(folds)))
    over_slides, _, together, over_folds = components(values, folds)
    assert (over_slides, together, over_folds) == pytest.approx((3, 1, 4), rel=0.12)
    assert components(values)[0] == pytest.approx(5, rel=0.12)
    assert components(values[:, :9], np.arange(9))[3] == 0  # folds of one slide each say nothing of themselves


def test_a_pilot_study_gives_its_spread_and_one_seed_is_refused(tmp_path):
    options = {"methods": ("cross_entropy", "dfa"), "classes": 3, "dataset": False}
    found = pilot_spread(write_synthetic_study(tmp_path / "a", n_images=8, seeds=3, **options))
    assert (found.slides, found.seeds, found.methods) == (8, 3, 1)
    assert found.slide_sd + found.noise_sd > 0
    one = write_synthetic_study(tmp_path / "b", n_images=8, seeds=1, **options)
    result = CliRunner().invoke(main, ["power", "--pilot", str(one), "--classes", "3"])
    assert result.exit_code == 2
    assert "two finished seeds" in result.output


def test_the_spread_of_a_pilot_reaches_the_design_unless_an_option_says_otherwise(tmp_path):
    root = write_synthetic_study(tmp_path / "pilot", seeds=3)
    spread = pilot_spread(root)
    design, _ = designs(None, root, SUPPOSED | {"seed_sd": 2.5})
    assert (design.slides, design.seeds, design.methods) == (spread.slides, spread.seeds, spread.methods)
    assert (design.slide_sd, design.noise_sd) == pytest.approx((spread.slide_sd, spread.noise_sd))
    assert 0.001 < design.slide_sd < 0.5  # Dice, not points
    assert design.seed_sd == pytest.approx(0.025)


def test_the_command_prints_words_ways_and_json():
    sizes = {"classes": "5,5,6", "shared-names": "4", "slides": "14", "seeds": "3", "methods": "2"}
    sizes |= {"measure-reliability": ".7", "simulations": "20"}
    arguments = ["power", *(f"--{name}={value}" for name, value in sizes.items())]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "8 distinct classes (5, 5, 6 in 3 data sets)" in result.output
    assert "An observed difference must pass" in result.output
    content = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    assert content["association_power"]["names"] == 8
    assert [each["difference"] for each in content["words"]] == [0, 0.01, 0.02, 0.04]
    refused = CliRunner().invoke(main, ["power", "--classes", "5,x"])
    assert refused.exit_code == 2
    assert "such as 5,5,6" in refused.output
    lacking = CliRunner().invoke(main, ["power", "--classes", "5"])
    assert (lacking.exit_code, "Give --slides N." in lacking.output) == (2, True)


def supposed(**changes):
    sizes = {"slides": 8, "seeds": 3, "methods": 1, "slide_sd": 9.0, "seed_sd": 9.0, "noise_sd": 0.0}
    return sizes | {"smallest_difference": 4.2, "result": "0" * 64} | changes


def test_a_study_that_is_another_than_was_announced_is_named():
    run, spread = (
        {"slides": 8, "seeds": 3, "methods": 1, "folds": 1},
        Spread(0.03, 0.01, 0.0, slides=8, seeds=3, methods=1),
    )
    assert power_verdict(supposed(), run, spread) is None
    assert power_verdict(supposed(slides=6, seeds=2), run, spread) is None  # more than was announced
    for changes, told in (
        ({"slides": 14}, "14 slides (8 were run)"),
        ({"seeds": 6}, "6 seeds (3 were run)"),
        ({"slide_sd": 1.0}, "over slides of 1 points (it is 3.0)"),
        ({"seed_sd": 0.0}, "over seeds of 0 points (it is 1.0)"),
    ):
        found = power_verdict(supposed(**changes), run, spread)
        assert found is not None
        assert (found.word, told in found.sentence) == (Word.LIMITED, True), found.sentence
        assert "4.2 points may go unnoticed" in found.sentence
    found = power_verdict(supposed(), run | {"methods": 3}, None)
    assert found is not None
    assert "1 methods (3 were run)" in found.sentence


def test_a_deviation_that_may_be_as_supposed_is_not_named():
    """3 seeds know little: 1.7 times as large is nothing unusual, 3 times is."""
    assert not is_larger(1.7, 1.0, 2)
    assert is_larger(3.0, 1.0, 2)
    assert not is_larger(float("nan"), 1.0, 2)
    draws = np.random.default_rng(0).normal(size=(2000, 6)).std(axis=1, ddof=1)
    assert np.mean([is_larger(each, 1.0, 5) for each in draws]) == pytest.approx(0.05, abs=0.015)


def test_what_power_prints_goes_into_the_plan_and_analyze_says_what_was_run(tmp_path):
    sizes = ["--classes=3", "--slides=40", "--seeds=6", "--methods=1", "--simulations=20"]
    printed = CliRunner().invoke(main, ["power", *sizes, "--yaml"])
    assert printed.exit_code == 0, printed.output
    section = yaml.safe_load(printed.stdout)["analysis"]["power"]
    as_json = CliRunner().invoke(main, ["power", *sizes, "--json"]).stdout
    assert section["result"] == hashlib.sha256(as_json.encode()).hexdigest()
    plan = AnalysisSection.model_validate({"power": section}).model_dump(mode="json")
    assert plan["power"] == section
    assert "power" not in AnalysisSection().model_dump(mode="json")  # plans without it keep their hash
    root = write_synthetic_study(tmp_path / "a", n_images=8, seeds=3, methods=("cross_entropy", "dfa"), classes=3)
    content = json.loads((root / "plan.json").read_text())
    content["analysis"] |= {"power": section}
    (root / "plan.json").write_text(json.dumps(content))
    said = [each for each in analyze_study(root).verdicts if each.aspect == "power"]
    assert len(said) == 1
    assert "40 slides (8 were run), 6 seeds (3 were run)" in said[0].sentence


def dry_run(study, out):
    """What a dry run prints, on one line."""
    words = ["run", str(study), "--out", str(out), "--dry-run"]
    return " ".join(CliRunner().invoke(main, words).output.split())


def test_a_planned_study_says_what_it_can_show_and_its_control_is_no_method(tmp_path):
    study = write_study(tmp_path / "study.yaml", write_dataset(tmp_path / "data"), methods=["cross_entropy", "dfa"])
    told = sizes_of(load_study(study))
    assert (told["methods"], told["slides"], told["seeds"]) == (1, 2, 1)
    output = dry_run(study, tmp_path / "out")
    assert "after Holm for 1 (" in output
    assert "for 2 slides, 0.0 for 1 seed)" in output
    assert "With one seed every verdict speaks of these trained models" in output
    assert "No correlation over 3 classes can be significant; 5 can." in output
    assert not (tmp_path / "out").exists()


def context_of(root, **power):
    """The context of a study whose plan announced a power."""
    content = json.loads((root / "plan.json").read_text())
    content["analysis"] |= {"power": supposed(**power)}
    (root / "plan.json").write_text(json.dumps(content))
    records = StudyRecords.open(root)
    return Context(records, read_study(records), AnalysisPlan.of(records), lambda *_: None, None)


def test_with_several_models_as_many_comparisons_are_announced_as_are_corrected_together(tmp_path):
    """Every model has its own control: 2 methods under 2 models are 2 comparisons, neither 1 nor 3."""
    file = write_study(tmp_path / "study.yaml", write_dataset(tmp_path / "data"))
    content = yaml.safe_load(file.read_text())
    model = content.pop("model")
    models = [model | {"label": "small"}, model | {"label": "large", "channels": 32}]
    file.write_text(yaml.safe_dump(content | {"models": models}))
    config = load_study(file)
    assert (config.comparisons, sizes_of(config)["methods"]) == (2, 2)
    assert "after Holm for 2 (" in short_form(config, Division(6), classes=3)[0]
    design, _ = designs(file, None, SUPPOSED)
    assert (design.methods, design.models, design.trainings) == (2, 2, 4)  # one seed of each method and model
    sizes = {"models": ("small", "large"), "methods": ("cross_entropy", "dfa"), "n_images": 8, "seeds": 3}
    root = write_synthetic_study(tmp_path / "a", classes=3, dataset=False, **sizes)
    context = context_of(root, methods=2)
    tests = comparison_tests(context.study, context.units, context.plan, context.unit)
    assert sum(test.keys["class"] == "macro" for test in tests) == config.comparisons
    assert not announced_power.analyze(context).verdicts
    pilot = pilot_spread(root)
    assert (pilot.methods, pilot.models) == (2, 2)


def test_methods_of_several_models_do_not_share_a_control():
    noise = replace(DESIGN, methods=4, slides=200, seeds=1, models=2)
    first, second, third, _ = (test.pairs.difference.ravel() for test in SimulatedStudies.draw(noise, 0, 1).studies[0])
    assert np.corrcoef(first, third)[0, 1] == pytest.approx(0.5, abs=0.15)  # the same model
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0, abs=0.2)


def test_a_study_that_is_cross_validated_says_its_folds_everywhere(tmp_path):
    data = write_dataset(tmp_path / "data")
    splits = {"kind": "grouped", "folds": 2, "validation_fraction": 0.0, "seed": 1}
    study = write_study(tmp_path / "study.yaml", data, seeds=[0, 1], splits=splits)
    told = sizes_of(load_study(study))
    assert (told["slides"], told["folds"], told["repeats"]) == (8, 2, 1)
    output = dry_run(study, tmp_path / "out")
    assert "after Holm for 1 (" in output
    assert "for 8 slides in 2 folds," in output
    assert "Folds are supposed to differ by their slides alone" in output
    arguments = ["power", str(study), "--simulations=20", "--fold-sd=1.5"]
    content = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    assert (content["comparisons"]["folds"], content["comparisons"]["fold_sd"]) == (2, 0.015)
    assert content["threshold"]["by_folds"] > content["threshold"]["by_slides"]
    section = yaml.safe_load(CliRunner().invoke(main, [*arguments, "--yaml"]).stdout)["analysis"]["power"]
    assert (section["folds"], section["fold_sd"]) == (2, 1.5)
    printed = CliRunner().invoke(main, ["power", str(study), "--simulations=20"]).output
    assert "8 slides in 2 folds, 2 seeds" in printed
    assert "Folds are supposed to differ by their slides alone" in printed


def test_repeats_and_folds_from_a_file_are_read_and_what_is_not_modelled_is_said(tmp_path):
    data = write_dataset(tmp_path / "data")
    splits = {"kind": "grouped", "folds": 2, "repeats": 3, "validation_fraction": 0.0}
    study = write_study(tmp_path / "study.yaml", data, splits=splits)
    design, _ = designs(study, None, SUPPOSED)
    assert (design.slides, design.folds, design.repeats, design.trainings) == (8, 2, 3, 12)
    (tmp_path / "cv.csv").write_text(
        "img_id,fold\n" + "".join(f"im_{number},{max(number - 2, 0) if number < 6 else -1}\n" for number in range(8))
    )
    splits = {"kind": "file", "path": str(tmp_path / "cv.csv"), "rotate": True}
    rotated = load_study(write_study(tmp_path / "rotated.yaml", data, seeds=[0, 1], splits=splits))
    told = sizes_of(rotated)
    assert (told["slides"], told["folds"], told["repeats"]) == (2, 1, 4)
    assert "4 training sets one is counted" in " ".join(short_form(rotated, Division(2, 1, 4), classes=3))


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--folds=9"], "--folds <= --slides (8)"), (["--fold-sd=2"], "--fold-sd is a deviation between folds")],
)
def test_folds_need_slides_and_their_deviation_folds(options, told):
    sizes = ["--classes=5", "--slides=8", "--seeds=3", "--methods=1"]
    result = CliRunner().invoke(main, ["power", *sizes, *options])
    assert (result.exit_code, told in result.output) == (2, True), result.output


def test_a_pilot_says_what_its_training_sets_add(tmp_path):
    sizes = {"methods": ("cross_entropy", "dfa"), "classes": 3, "n_images": 16, "seeds": 2, "folds": 4}
    root = write_synthetic_study(tmp_path / "pilot", dataset=False, **sizes)
    spread = pilot_spread(root)
    assert (spread.folds, spread.slides) == (4, 16)
    design, _ = designs(None, root, SUPPOSED | {"classes": (5,)})
    assert (design.folds, design.fold_sd) == (4, spread.fold_sd)
    one_test_set, _ = designs(None, root, SUPPOSED | {"folds": 1})
    assert (one_test_set.folds, one_test_set.fold_sd) == (1, 0.0)


def test_power_announced_without_folds_was_that_of_one_test_set(tmp_path):
    """Files of before say no folds; their content, and so the hash of their plan, stays what it was."""
    old = supposed(methods=1, slides=8, slide_sd=90.0, seed_sd=90.0)
    assert AnalysisSection.model_validate({"power": old}).model_dump(mode="json")["power"] == old
    root = write_synthetic_study(
        tmp_path / "a", n_images=8, seeds=3, folds=2, methods=("cross_entropy", "dfa"), classes=3, dataset=False
    )
    (verdict,) = announced_power.analyze(context_of(root, **old)).verdicts
    assert "it supposed one test set (2 were run)" in verdict.sentence
    run = {"slides": 8, "seeds": 3, "methods": 1, "folds": 2}
    assert power_verdict(old | {"folds": 2}, run, None) is None
    assert power_verdict(old | {"folds": 4}, run | {"folds": 1}, None) is None  # asks for less
    fewer = power_verdict(old | {"folds": 4}, run, None)
    assert fewer is not None
    assert "4 folds (2 were run)" in fewer.sentence


def test_a_deviation_over_folds_is_named_where_slides_do_not_make_it():
    """Four folds of slides alone are far apart by chance in 5 % of studies, as Fisher's F says."""
    rng, folds, larger = np.random.default_rng(0), np.arange(20) % 4, []
    for _ in range(1000):
        values = 0.03 * rng.normal(size=20) + 1e-6 * rng.normal(size=(2, 20))
        *sds, fold_sd = components(values, folds)
        spread = Spread(*sds, slides=20, seeds=2, methods=1, fold_sd=fold_sd, folds=4)
        larger.append(folds_differ_more(spread, 0.0))
    assert np.mean(larger) == pytest.approx(0.05, abs=0.02)
    spread = Spread(0.01, 0.01, 0.0, slides=20, seeds=3, methods=1, fold_sd=0.03, folds=4)
    run = {"slides": 20, "seeds": 3, "methods": 1, "folds": 4}
    found = power_verdict(supposed(slides=20, folds=4, fold_sd=0.5), run, spread)
    assert found is not None
    assert "a deviation over folds of 0.5 points beyond their slides (it is 3.0)" in found.sentence
    assert power_verdict(supposed(slides=20, folds=4, fold_sd=2.5), run, spread) is None


def test_as_many_associations_are_corrected_for_as_analyze_corrects_together():
    """The primary measures of one method and quantity; another quantity is another family."""
    rows = [
        {
            **{"method": "dfa", "estimand": estimand, "construct": construct, "measure": measure, "primary": True},
            **{"p_spearman": 0.01, "min_p": 0.001},
        }
        for estimand in PRIMARY_ESTIMANDS
        for construct, measure in PRIMARY_MEASURES.items()
    ]
    families = set(corrected_associations(rows, AnalysisPlan.default())["family"])
    sizes = ["--classes=6", "--slides=8", "--seeds=3", "--methods=1", "--simulations=20", "--json"]
    content = json.loads(CliRunner().invoke(main, ["power", *sizes]).stdout)
    assert families == {content["associations"]["tests"]} == {AssociationDesign((6,)).tests}
