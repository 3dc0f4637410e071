"""Phantoms: planted truth beside what was found, and what else the ledger holds per class."""

import numpy as np
import pandas as pd
import pytest
from synthetic import write_synthetic_study

from analysis.pipeline import analyze_study
from analysis.study.runs import read_study
from analysis.topics.ledger_quantities import GIVEN_BIAS, differing, ledger_quantities
from analysis.topics.planted import Claim, factor_rows, planted_factors
from analysis.verdicts import Topic, Verdict, Word
from imbalance_bench.records import StudyRecords

FACTORS = ("share", "ambiguity", "morphology", "context")


def headline(word: Word) -> Verdict:
    return Verdict(topic=Topic.ASSOCIATION, subject="weight", word=word, sentence="Said.")


def is_supported(verdict: Verdict) -> bool:
    return verdict.word == Word.SUPPORTED


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """A study of five classes whose data set has a truth, with the class of each rank of frequency planted as it is."""
    root = write_synthetic_study(
        tmp_path_factory.mktemp("planted") / "study",
        methods=("cross_entropy", "inverse_frequency", "cdb"),
        n_images=8,
        analysis={"resamples": 50, "permutations": 500},
    )
    records = StudyRecords.open(root)
    facts = records.dataset()
    names = [each["name"] for each in facts["classes"]]
    pixels = np.array(facts["folds"][0]["train"]["pixels"], dtype=float)
    truth = pd.DataFrame({"class": names, "share": pixels / pixels.sum()})
    truth = truth.assign(ambiguity=np.linspace(0, 1, len(names)), morphology=0.2, context=0.0)
    truth.to_csv(root / facts["path"] / "truth.csv", index=False)
    return analyze_study(root)


def test_a_phantom_has_its_truth_beside_what_was_found(phantom):
    found = phantom.tables["planted_and_found"].set_index("subject")
    assert found.loc["share", "agrees"] == "yes"
    assert found.loc["morphology", "agrees"] == "open"  # one level says nothing
    rows = found.loc[["loss weight of inverse_frequency"]]
    assert list(rows["planted"].str.split().str[:3].str.join(" ")) == ["goes with frequency,", "goes with no"]
    about = (Topic.ASSOCIATION, "inverse_frequency", "loss_weight", "pixel_share")
    (said,) = [each for each in phantom.verdicts if (each.topic, each.method, each.estimand, each.measure) == about]
    assert rows["found"].iloc[0] == said.sentence
    assert "loss weight of cdb" not in found.index


def test_real_tissue_has_no_planted_truth(tmp_path):
    found = analyze_study(write_synthetic_study(tmp_path / "study", n_images=8, classes=3, dataset=False))
    assert found.tables["planted_and_found"].empty
    assert found.tables["planted_factors"].empty


def test_claims_agree_disagree_or_stay_open():
    def row(verdict: Verdict | None) -> object:
        return Claim("weight", "goes with frequency", verdict, is_supported).row()["agrees"]

    assert row(headline(Word.SUPPORTED)) == "yes"
    assert row(headline(Word.NOT_SUPPORTED)) == "no"
    assert row(headline(Word.NOT_SEPARABLE)) == "open"
    assert row(None) == "open"


@pytest.mark.parametrize(("sign", "agrees"), [(1, "yes"), (-1, "no")])
def test_a_measure_agrees_where_it_orders_the_classes_as_planted(sign, agrees):
    names = list("abcde")
    levels = pd.DataFrame({"class": names} | {factor: np.linspace(0.1, 0.3, 5) for factor in FACTORS})
    measures = {"measure": "border_stain_overlap", "class": names, "value": sign * np.arange(5.0)}
    found = {row["subject"]: row for row in factor_rows(planted_factors(levels, pd.DataFrame(measures)))}
    assert found["ambiguity"]["agrees"] == agrees
    assert found["context"]["agrees"] == "open"
    assert "was not measured" in str(found["context"]["found"])


def test_weights_that_never_change_are_given_and_others_start_somewhere(phantom):
    study = read_study(StudyRecords.open(phantom.folder.parent))
    ledger = ledger_quantities(study)
    weights = ledger[ledger["estimand"] == "loss_weight"].groupby("method")
    assert weights.get_group("inverse_frequency")["start"].isna().all()
    assert weights.get_group("cdb")["start"].notna().all()
    assert ledger[ledger["estimand"] == "logit_gradient_norm"]["start"].isna().all()
    assert not set(ledger["estimand"]) & {"effective_offset", "attention_mass", "attention_bias", GIVEN_BIAS}
    same = ledger.assign(value=1.0)
    assert differing(same).empty
    assert set(differing(ledger)["estimand"]) >= {"loss_weight", "difficulty", "logit_gradient_norm"}


def test_observed_quantities_are_correlated_and_nothing_is_concluded(phantom):
    rows = phantom.tables["associations"]
    observed = rows[rows["estimand"] == "logit_gradient_norm"]
    assert len(observed)
    assert not observed["primary"].any()
    assert not [each for each in phantom.verdicts if each.topic == Topic.EXPLANATION and "gradient" in each.estimand]
    assert observed["p_holm"].isna().all()
    weights = rows[(rows["estimand"] == "loss_weight") & (rows["measure"] == "pixel_share")]
    assert weights["p_holm"].notna().all()
    assert not weights["primary"].any()  # the plan names no quantity of the ledger


def test_the_families_of_the_bias_do_not_know_of_the_ledger(phantom):
    rows = phantom.tables["associations"]
    offset = rows[(rows["estimand"] == "effective_offset") & rows["primary"]]
    assert offset.groupby("method")["p_holm"].count().max() <= 4


def test_a_fixed_bias_is_given(tmp_path):
    root = write_synthetic_study(tmp_path / "study", methods=("cross_entropy", "dfa"), n_images=8, classes=3)
    study = read_study(StudyRecords.open(root))
    for run in study.runs_of("dfa"):
        fixed = run.ledger["parameter"] == "attention_bias"
        run.ledger.loc[fixed, "value"] = run.ledger.loc[fixed, "class_id"].astype(float)
    given = ledger_quantities(study)
    given = given[given["estimand"] == GIVEN_BIAS]
    assert set(given["method"]) == {"dfa"}
    assert list(given[given["seed"] == 0]["value"]) == [0.0, 1.0, 2.0]
