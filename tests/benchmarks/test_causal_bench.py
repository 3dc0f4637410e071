"""The causal bench: its plan, and its answers where the truth is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.reading.analysed_study import AnalysedStudy
from analysis.schema import rows_of
from analysis.study.analysed_records import RECORDS_FILE
from benchmarks.causal_bench import design
from benchmarks.causal_bench.answers import PLANTED, Answers, answers, control_rows, effect_rows, with_dice
from benchmarks.causal_bench.design import MINIATURE, WHOLE, Part, label_of, parts, planted_levels, studies
from benchmarks.causal_bench.evidence import Evidence, gather
from benchmarks.causal_bench.figures import write_figures
from benchmarks.causal_bench.running import Place, run_parts
from imbalance_bench.data.phantom import FACTORS
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import write_json
from tests.benchmarks.causal_evidence import DECODER, HURTS, REPAIRS, SERIES, evidence


@pytest.fixture(scope="module")
def known() -> Answers:
    return answers(evidence())


def test_every_part_ends_within_ninety_minutes_on_two_cores_and_none_is_left_out() -> None:
    every = parts(WHOLE)
    assert max(part.core_minutes for part in every) <= 2 * 90
    assert [study.name for part in every for study in part.studies] == [study.name for study in studies(WHOLE)]
    assert len({study.name for study in studies(WHOLE)}) == len(studies(WHOLE))


def test_every_study_of_the_plan_can_be_read(tmp_path: Path) -> None:
    for scale in (WHOLE, MINIATURE):
        firsts = {(study.series, study.arm.decoder): study for study in studies(scale)}
        for study in firsts.values():
            config = study.config(tmp_path / "phantom")
            assert config.model.decoder == study.arm.decoder
            assert config.methods[0].label == design.CONTROL  # the control of every comparison
            assert len(config.methods) * len(config.seeds) == study.n_runs


def test_the_arms_name_methods_of_the_study_file() -> None:
    for _, arm in design.ARMS:
        study = next(each for each in studies() if each.arm == arm)
        labels = {label_of(entry) for entry in study.methods}
        assert set(arm.methods) <= labels
        assert {label for label in design.EXPECTED if label in labels} == (set(design.EXPECTED) if arm.given else set())


def test_given_biases_are_the_planted_levels_and_are_told_apart() -> None:
    spec = studies()[0].spec
    levels = planted_levels(spec)
    for entry, cause in zip(design.given_biases(spec), design.CAUSES, strict=True):
        values = np.array(list(entry["values"].values()))
        assert values.mean() == pytest.approx(0, abs=1e-3)
        assert values.std() == pytest.approx(1, abs=1e-3)
        if cause != design.NOISE:
            assert np.corrcoef(values, levels[cause])[0, 1] == pytest.approx(1, abs=1e-6)
    rarest = min(spec.classes, key=lambda each: each.share).name
    given_share = design.given_biases(spec)[0]["values"]
    assert max(given_share, key=given_share.get) == rarest


def test_a_part_that_does_not_exist_is_refused() -> None:
    every = parts(WHOLE)
    with pytest.raises(UserError, match=f"one of 1 to {len(every)}. Got 99"):
        design.chosen(every, [99])
    assert design.chosen(every, [2]) == [every[1]]
    assert design.chosen(every, []) == every


def test_known_causes_are_attributed_to_themselves(known: Answers) -> None:
    assert set(known.controls["method"]) == {*design.EXPECTED, "inverse_sqrt"}
    by_level = known.controls.query("by == @PLANTED").set_index("method")
    assert by_level["holds"].all(), by_level
    assert by_level.loc["given_noise", "found"] == "nothing"
    assert known.controls_hold
    assert not replace(known, controls=known.controls.assign(holds=False)).controls_hold


def test_a_control_that_is_attributed_to_something_else_withholds_everything() -> None:
    rows = [
        {"method": "given_share", "quantity": "given_bias", "cause": cause, "by": PLANTED, "verdict": word}
        for cause, word in (("share", "supported"), ("context", "supported"))
    ]
    assert not control_rows(pd.DataFrame(rows))["holds"].any()
    assert control_rows(pd.DataFrame(rows[:1]))["holds"].all()


def test_a_learned_bias_is_attributed_to_what_it_was_made_of(known: Answers) -> None:
    rows = known.attribution.query("method == 'dfa' and quantity == 'change' and by == @PLANTED").set_index("cause")
    assert rows.loc["ambiguity", "verdict"] == "supported"
    assert (rows.drop(index="ambiguity")["verdict"] == "not_supported").all()
    headline = known.headlines.query("method == 'dfa' and quantity == 'change' and by == @PLANTED").iloc[0]
    assert (headline["verdict"], headline["follows"]) == ("supported", "difficulty")


def test_dice_falls_with_what_hurts_and_with_nothing_else(known: Answers) -> None:
    rows = {row["factor"]: row for row in rows_of(known.effects.query("method == 'cross_entropy'"))}
    assert rows["context"]["verdict"] == "worse"
    assert rows["context"]["low"] < HURTS["context"] < rows["context"]["high"]
    assert {rows[factor]["verdict"] for factor in FACTORS if factor != "context"} == {"undecided"}
    dice = known.attribution.query("method == 'cross_entropy' and quantity == 'dice' and by == @PLANTED")
    assert (dice[dice["cause"] == "context"]["spearman"] < 0).all()
    assert len(dice) == len(FACTORS)


def test_what_repairs_is_told_from_what_does_not(known: Answers) -> None:
    rows = known.repair.set_index(["method", "factor"])
    assert rows.loc[("inverse_sqrt", "context"), "verdict"] == "better"
    assert rows.loc[("inverse_sqrt", "context"), "slope"] == pytest.approx(REPAIRS["inverse_sqrt"], abs=1.5)
    assert set(rows.drop(index=("inverse_sqrt", "context"))["verdict"]) <= {"equivalent", "undecided"}


def test_the_path_is_summed_up_over_data_sets(known: Answers) -> None:
    uniform = known.path.query("control == 'uniform'").iloc[0]
    assert uniform["difference"] == pytest.approx(-50, abs=1)
    assert uniform["low"] < uniform["difference"] < uniform["high"]
    assert (uniform["live"], uniform["n_data_sets"]) == (10, 10)
    doses = known.doses.query("control == 'bias_dose'").set_index("dose")["share"]
    assert doses.to_dict() == pytest.approx({-4.0: -10, -2.0: -5, 0.0: 0, 2.0: 5, 4.0: 10})


def test_slopes_where_nothing_is_planted_err_as_often_as_they_say() -> None:
    none: dict[str, float] = dict.fromkeys(FACTORS, 0.0)
    found = []
    for seed in range(60):
        drawn = evidence(seed, hurts=none, data_sets=10)
        scores, planted = with_dice(drawn.of("dice", SERIES, DECODER)), drawn.of("planted", SERIES, DECODER)
        rows = effect_rows(scores[scores["method"] == "cross_entropy"], planted)
        found += list(rows["p"] < 0.05)
    assert 0.01 <= np.mean(found) <= 0.10  # 240 tests at 5 %


def test_two_data_sets_with_one_seed_are_refused_in_words() -> None:
    drawn = evidence(data_sets=2)
    scores, planted = with_dice(drawn.of("dice", SERIES, DECODER)), drawn.of("planted", SERIES, DECODER)
    rows = effect_rows(scores, planted)
    assert set(rows["verdict"]) == {"not_testable"}
    assert rows["refusal"].str.contains("too few").all()


def test_evidence_that_is_read_again_gives_the_same_answers(tmp_path: Path, known: Answers) -> None:
    evidence().write(tmp_path)
    again = answers(Evidence.read(tmp_path))
    for name in Answers.__dataclass_fields__:
        pd.testing.assert_frame_equal(getattr(again, name), getattr(known, name))
    (tmp_path / "dice.parquet").unlink()
    with pytest.raises(UserError, match=r"must hold dice\.parquet"):
        Evidence.read(tmp_path)


def test_studies_that_were_made_at_several_times_are_gathered_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first and the third study here, the second and an older third elsewhere."""
    wanted, newer, older = studies()[:4], evidence(seed=1), evidence(seed=0)
    here, there = Place(tmp_path / "here"), [wanted[1].name, wanted[2].name]
    for study in (wanted[0], wanted[2]):
        write_json(here.study(study) / "analysis" / RECORDS_FILE, {})
    monkeypatch.setattr(AnalysedStudy, "open", lambda root: root.name)
    monkeypatch.setattr("benchmarks.causal_bench.evidence._tables", lambda study, _: newer.of_study(study))
    earlier = Evidence(
        **{
            name: pd.concat([older.of_study(study)[name] for study in wanted[1:3]], ignore_index=True)
            for name in Evidence.__dataclass_fields__
        }
    )
    found = gather(wanted, here, earlier, lambda _: None)
    assert earlier.complete(wanted) == set(there)
    assert found.complete(wanted) == {study.name for study in wanted[:3]}
    assert list(found.studies["data_set"]) == [study.spec.name for study in wanted[:3]]
    for study, source in zip(wanted[:3], (newer, older, newer), strict=True):
        for name, frame in found.of_study(study).items():
            expected = source.of_study(study)[name]
            pd.testing.assert_frame_equal(frame.reset_index(drop=True), expected.reset_index(drop=True))
    with pytest.raises(UserError, match="no analysed study"):
        gather(wanted, Place(tmp_path / "empty"), None, lambda _: None)


def test_evidence_of_part_of_a_study_or_of_another_design_does_not_count_as_the_study() -> None:
    found = evidence(data_sets=2)
    first, second = studies()[:2]
    assert found.complete(studies()) == {first.name, second.name}
    partly = replace(found, studies=found.studies.assign(runs=[60, 59]))
    assert partly.complete(studies()) == {first.name}
    with pytest.raises(UserError, match=f"holds {first.name} with 60 runs, which is none of the studies"):
        found.complete(studies(MINIATURE))
    with pytest.raises(UserError, match=second.name):
        found.complete([first])


def test_what_was_gathered_elsewhere_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(Place, "make", lambda _, study: made.append(study.name))
    part = Part(1, tuple(studies()[:3]))
    assert run_parts([part], Place(tmp_path), {part.studies[1].name}, minutes=float("inf")) == 0
    assert made == [part.studies[0].name, part.studies[2].name]


def test_every_figure_is_drawn(tmp_path: Path, known: Answers) -> None:
    names = {path.name for path in write_figures(known, tmp_path)}
    assert names == {"path.svg", *(f"{kind}_wide_tied_detail.svg" for kind in ("matrix", "effects", "repair"))}
