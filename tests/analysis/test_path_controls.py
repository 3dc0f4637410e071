"""Verdicts that know the ceiling of the path: inert, live, cancelling between models, and not examined."""

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.pipeline import StudyAnalysis, analyze_study
from analysis.schema import rows_of
from analysis.schema.names import MACRO
from analysis.scoring.changed_models import magnitudes
from analysis.scoring.comparisons import PairedScores
from analysis.scoring.image_rows import Folds
from analysis.study.runs import read_study
from analysis.topics.path_ceiling import NOT_EXAMINED, Ceiling
from analysis.topics.path_controls import word_of_uniform
from analysis.verdicts import Topic, Verdict, Word
from imbalance_bench.records import StudyRecords
from tests.analysis.synthetic import write_synthetic_study
from tests.analysis.synthetic_runs import UNIFORM_LOSS

METHODS = ("cross_entropy", "dfa")


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> dict[str, StudyAnalysis]:
    root = tmp_path_factory.mktemp("paths")
    options = {
        "methods": METHODS,
        "n_images": 10,
        "interventions": True,
        "analysis": {"resamples": 50, "permutations": 500},
    }
    made = {
        kind: write_synthetic_study(
            root / (kind or "silent"), attention=kind, dataset=kind in ("live", "inert"), **options
        )
        for kind in KINDS
    }
    return {kind: analyze_study(path) for kind, path in made.items()}


KINDS = ("live", "inert", "cancelling", "")


def verdict(study: StudyAnalysis, topic: Topic, **about: str) -> Verdict:
    wanted = {"method": "dfa"} | about
    (found,) = [
        each for each in study.verdicts
        if each.topic == topic and all(getattr(each, name) == value for name, value in wanted.items())
    ]  # fmt: skip
    return found


def macro(study: StudyAnalysis, control: str) -> dict[str, Any]:
    rows = study.tables["path_controls"]
    rows = rows[(rows["method"] == "dfa") & (rows["control"] == control) & (rows["class"] == MACRO)]
    return rows_of(rows)[0]


def test_a_live_path_is_called_live_and_effects_are_shares_of_it(studies):
    study = studies["live"]
    assert verdict(study, Topic.PATH).word == Word.LIVE
    uniform, zeroed = macro(study, "uniform"), macro(study, "zeroed")
    assert uniform["difference"] == pytest.approx(-UNIFORM_LOSS, abs=0.12)
    assert uniform["share_of_ceiling"] == pytest.approx(-1)
    assert zeroed["share_of_ceiling"] == pytest.approx(zeroed["difference"] / abs(uniform["difference"]))
    effect = verdict(study, Topic.INTERVENTION, aspect="zeroed", class_name=MACRO)
    assert effect.word == Word.WORSE
    assert (
        f"Its size is {-100 * zeroed['share_of_ceiling']:.1f} % of what uniform attention weights do."
        in effect.sentence
    )
    assert effect.numbers["share_of_ceiling"] == pytest.approx(zeroed["share_of_ceiling"])


def test_an_inert_path_draws_no_conclusion_about_the_bias(studies):
    study = studies["inert"]
    path = verdict(study, Topic.PATH)
    assert path.word == Word.INERT
    assert path.numbers["at_most"] < 0.01
    assert f"by {100 * path.numbers['at_most']:.1f} points at most" in path.sentence
    concluding = {Word.SUPPORTED, Word.NOT_SUPPORTED, Word.EQUIVALENT, Word.NOT_SEPARABLE, Word.UNDECIDED}
    about_bias = (
        Topic.ASSOCIATION,
        Topic.EXPLANATION,
        Topic.PARTIAL_ASSOCIATION,
        Topic.MIXED_MODEL,
        Topic.INTERVENTION,
    )
    attention = ("", "learned", "change", "effective_offset", "attention_mass")
    judged = [each for each in study.verdicts if each.topic in about_bias and each.estimand in attention]
    assert judged
    assert not [each.id for each in judged if each.word in concluding]
    assert verdict(study, Topic.EXPLANATION, estimand="change").word == Word.INERT
    answer = verdict(study, Topic.ANSWER, aspect="reason")
    assert answer.word == Word.INERT
    assert "does not depend on what its class attention learned" in answer.sentence
    rows = study.tables["associations"]
    of_attention = rows["estimand"].isin(attention)
    assert not rows[of_attention]["verdict"].isin([str(word) for word in concluding]).any()


def test_the_same_study_with_a_live_path_does_conclude(studies):
    words = {each.word for each in studies["live"].verdicts if each.topic in (Topic.ASSOCIATION, Topic.EXPLANATION)}
    assert Word.INERT not in words
    assert words & {Word.SUPPORTED, Word.NOT_SUPPORTED, Word.NOT_SEPARABLE, Word.INERTIA, Word.DECAY}


def test_models_that_move_up_and_down_are_not_inert(studies):
    study = studies["cancelling"]
    uniform = macro(study, "uniform")
    assert abs(uniform["difference"]) < 0.5 * uniform["magnitude"]
    assert uniform["magnitude"] > 0.05
    assert verdict(study, Topic.PATH).word in (Word.UNDECIDED, Word.LIVE)
    assert word_of_uniform(Word.EQUIVALENT, magnitude=0.02, margin=0.01) == Word.UNDECIDED
    assert word_of_uniform(Word.EQUIVALENT, magnitude=0.002, margin=0.01) == Word.INERT


def test_a_study_without_path_controls_says_that_the_path_was_not_examined(studies):
    study = studies[""]
    assert study.tables["path_controls"].empty
    assert not [each for each in study.verdicts if each.topic == Topic.PATH]
    (limit,) = [each for each in study.verdicts if (each.topic, each.aspect) == (Topic.DATA, "path_controls")]
    assert "dfa: no path controls were recorded" in limit.sentence
    assert NOT_EXAMINED in verdict(study, Topic.INTERVENTION, aspect="zeroed", class_name=MACRO).sentence


def test_one_run_without_controls_leaves_its_method_unexamined(tmp_path):
    root = write_synthetic_study(
        tmp_path / "study", methods=METHODS, n_images=8, classes=3, attention="live", interventions=True, dataset=False
    )
    records = StudyRecords.open(root)
    (records.run(read_study(records).runs_of("dfa")[0].run_id).path / "path_controls.parquet").unlink()
    found = analyze_study(root)
    assert set(found.tables["path_controls"]["method"]) == {"cross_entropy"}
    assert {each.method for each in found.verdicts if each.topic == Topic.PATH} == {"cross_entropy"}


def test_dose_curves_of_a_live_path_are_monotone_and_specific(studies):
    rows = studies["live"].tables["path_controls"]
    own = rows[(rows["control"] == "bias_dose") & (rows["class"] == rows["target"]) & (rows["method"] == "dfa")]
    assert own["monotone"].all()
    assert own["specific"].all()
    flat = studies["inert"].tables["path_controls"]
    flat = flat[(flat["class"] == flat["target"]) & (flat["method"] == "dfa")]
    assert not flat[flat["control"] == "bias_dose"]["monotone"].any()
    assert flat[flat["control"] == "logit_dose"]["monotone"].all()


def test_magnitudes_do_not_cancel():
    trained = np.full((2, 3, 1), 0.5)
    changed = trained + np.array([0.1, -0.1])[:, None, None]
    pairs = PairedScores(changed, trained, ("a", "b", "c"))
    size, models = magnitudes(pairs)
    assert size == pytest.approx([0.1, 0.1])
    assert models == 2
    folded = PairedScores(changed, trained, ("a", "b", "c"), Folds(np.arange(3), np.array([0, 0, 1])))
    assert magnitudes(folded)[1] == 4


def test_a_live_path_that_changes_nothing_on_the_dosed_images_gives_no_share():
    assert math.isnan(Ceiling(Word.LIVE, 0.0, 0.6).share(-0.1))
    assert Ceiling(Word.LIVE, 0.0, 0.6).remark(-0.1, Word.WORSE) == ""
    assert Ceiling(Word.LIVE, -0.5, 0.6).share(-0.1) == pytest.approx(-0.2)


def test_what_a_ceiling_lets_be_said():
    inert, live = Ceiling(Word.INERT, 0.001, 0.004), Ceiling(Word.LIVE, -0.5, 0.6)
    assert [inert.word_of_bias(word) for word in (Word.EQUIVALENT, Word.UNDECIDED, Word.WORSE)] == [
        Word.INERT,
        Word.INERT,
        Word.WORSE,
    ]
    assert live.word_of_bias(Word.EQUIVALENT) == Word.EQUIVALENT
    assert live.share(-0.05) == pytest.approx(-0.1)
    assert np.isnan(inert.share(0.1))
    assert live.remark(-0.05, Word.WORSE) == " Its size is 10.0 % of what uniform attention weights do."
    assert live.remark(0.01, Word.UNDECIDED).endswith(
        "2.0 % of what uniform attention weights do, in the other direction."
    )
    assert "0.4 points at most" in inert.remark(-0.02, Word.WORSE)
    assert Ceiling().remark(0.0, Word.EQUIVALENT).strip() == NOT_EXAMINED


def test_analysis_is_the_same_again(studies, tmp_path):
    root = Path(shutil.copytree(Path(studies["live"].folder).parent, tmp_path / "study"))
    before = (root / "analysis" / "path_controls.csv").read_bytes()
    analyze_study(root)
    assert (root / "analysis" / "path_controls.csv").read_bytes() == before
