"""`init`: its output runs unchanged, from a folder that nobody has described to a report."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from imbalance_bench.cli import init_view
from imbalance_bench.cli.main import main
from imbalance_bench.config import load_study
from imbalance_bench.data.prepared import PreparedDataset
from tests.data.tissue_folders import TissueFolder, write_layered_skin, write_prostate_like
from tests.small_study import write_dataset

GLAS = Path(__file__).parents[1].parent / "shared" / "data" / "glas"
MOST_COMMANDS = 6
# a study of two steps and one seed is as small as one gets without another file
QUICK = [
    "--set",
    "training.steps=2",
    "--set",
    "seeds=[0]",
    "--set",
    "methods=[cross_entropy, dfa]",
    "--set",
    "splits.folds=2",
    "--engine",
    "serial",
]


def typed(*words: object) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def refused(*words: object) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split())


def commands_of(output: str) -> list[list[str]]:
    lines = output[output.index("next:") :].splitlines()[1:]
    return [shlex.split(line)[1:] for line in lines if line.strip()]


@pytest.mark.parametrize("write", [write_prostate_like, write_layered_skin])
def test_from_a_folder_to_a_report_without_an_edited_file(
    write: Callable[[Path], TissueFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write(tmp_path / "my tissue")
    folder.layout.unlink()  # nothing but images and masks
    output = typed("init", "my tissue", "--yes")
    commands = [words for words in commands_of(output) if "--dry-run" not in words]
    assert 1 + len(commands) <= MOST_COMMANDS
    for words in commands:
        typed(*words, *(QUICK if words[0] == "run" else ()))
    assert (tmp_path / "results/studies/my-tissue/report/index.html").stat().st_size > 10_000
    prepared = PreparedDataset.open(tmp_path / "my tissue-study" / "data")
    assert {entry.image_id for entry in prepared.entries} == set(folder.truth)
    study = load_study(tmp_path / "my tissue-study" / "study.yaml")
    assert study.splits.folds == 4
    assert study.model.encoder_tuning == "full"  # a frozen encoder without weights would be refused


def test_layout_of_init_labels_pixels_as_the_one_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_prostate_like(tmp_path / "p")
    folder.prepare(tmp_path / "by_hand")
    output = typed(
        "init", "p", "--yes", "--classes", "#00ff00=stroma,#ff0000=epithelium,#0000ff=lumen,#ffffff=background"
    )
    typed(*commands_of(output)[0])
    one, other = PreparedDataset.open(tmp_path / "by_hand"), PreparedDataset.open(tmp_path / "p-study" / "data")
    names = [[each.name for each in dataset.info.classes] for dataset in (one, other)]
    assert set(names[0]) == set(names[1])
    for entry in one.entries:
        masks = [dataset.read_mask(entry.image_id) for dataset in (one, other)]
        for name in names[0]:
            first, second = ((mask == of.index(name)) for mask, of in zip(masks, names, strict=True))
            assert (first == second).all()


def test_prepared_data_set_needs_a_study_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "discs")
    output = typed("init", "discs", "--yes")
    assert sorted(path.name for path in (tmp_path / "discs-study").iterdir()) == ["study.yaml"]
    assert commands_of(output)[0][0] == "run"
    assert load_study(tmp_path / "discs-study" / "study.yaml").splits.kind == "published"
    assert "No correlation over 3 classes can be significant" in output
    assert "With 2 tested groups no comparison of methods can be significant at .05" in output
    assert "does not apply to a prepared data set" in refused("init", "discs", "--mpp", "0.5", "--out", "other")


def test_flags_are_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_layered_skin(tmp_path / "skin")
    names = "background,keratin,epidermis,dermis,unlabelled"
    words = ["--mpp", "0.5", "--group-regex", r"x(\d+)", "--classes", names, "--weights", "none", "--out", "o"]
    output = typed("init", "skin", "--yes", *words)
    layout = (tmp_path / "o" / "layout.yaml").read_text()
    for line in ("mpp_um: 0.5 ", "group_regex: x(\\d+)", "{name: keratin, labels: [1]}", "unlabelled: [4]"):
        assert line in layout
    assert "26 patients or slides" in output
    assert "No patient or slide lies in two parts" in (tmp_path / "o" / "study.yaml").read_text()


def test_nothing_is_replaced_and_the_source_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_prostate_like(tmp_path / "p")
    typed("init", "p", "--yes")
    before = (tmp_path / "p-study" / "study.yaml").read_bytes()
    assert "must not exist" in refused("init", "p", "--yes")
    assert (tmp_path / "p-study" / "study.yaml").read_bytes() == before
    assert "must not lie within" in refused("init", "p", "--yes", "--out", "p/study")
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["images", "labels"]
    assert "Got no folder" in refused("init", "q", "--yes")
    assert "um per pixel" in refused("init", "p", "--mpp", "400", "--out", "r")
    assert "must be a regular expression" in refused("init", "p", "--group-regex", "(", "--out", "r")


def test_a_terminal_is_asked_and_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_prostate_like(tmp_path / "p")
    answers = ["a,b", "stroma,epithelium,background,lumen", "400", "0,5", "(", ""]
    monkeypatch.setattr(init_view, "_is_terminal", lambda: True)
    result = CliRunner().invoke(main, ["init", "p"], input="\n".join(answers) + "\n")
    assert result.exit_code == 0, result.output
    for told in ("Got 2", "um per pixel. Got 400", "must be a regular expression"):
        assert told in result.output
    layout = (tmp_path / "p-study" / "layout.yaml").read_text()
    assert re.search(r"name: stroma, labels: \['#00ff00'\]", layout)
    assert "mpp_um: 0.5 " in layout
    assert "\ngroup_regex" not in layout


@pytest.mark.skipif(not GLAS.is_dir(), reason="needs ../shared/data/glas")
def test_glas_is_split_by_patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output = typed("init", GLAS, "--yes", "--out", "study")
    assert "165 images of 16 patients or slides; 6 classes; 16 tested" in output
    study = load_study(tmp_path / "study" / "study.yaml")
    assert (study.splits.kind, study.dataset.tile_px, study.dataset.stride_px) == ("grouped", 512, 256)
