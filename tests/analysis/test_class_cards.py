"""Difficulty cards in the report: from the tables of the analysis, with pictures while the data set is there."""

import base64
import io
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from analysis.cards.figures import TILE_SIDE_PX
from analysis.reading.analysed_study import AnalysedStudy
from analysis.report import classes
from analysis.report.classes import class_cards
from analysis.schema import TABLES
from analysis.schema.files import write_table
from tests.analysis.contract_study import write_analysis
from tests.analysis.synthetic import write_synthetic_study

OVERLAPS = {(0, 1): 0.25, (0, 2): 0.75, (1, 0): 0.5, (1, 2): 0.4}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_synthetic_study(
        tmp_path_factory.mktemp("cards") / "study", methods=("cross_entropy",), seeds=1, n_images=3, classes=3
    )
    plan, dataset = (json.loads((root / f"{name}.json").read_text()) for name in ("plan", "dataset"))
    write_analysis(root, plan, dataset)
    names = [each["name"] for each in dataset["classes"]]
    rows = []
    for (own, other), overlap in OVERLAPS.items():
        row = dict.fromkeys(TABLES["adjacency"].columns, float("nan"))
        row |= {"class_id": own, "class": names[own], "other_id": other, "other": names[other], "unit": "um"}
        row |= {"border_share": 0.125, "stain_overlap": overlap, "stain_overlap_low": 0.1, "stain_overlap_high": 0.9}
        rows.append(row | {"nearest_rival": overlap == max(v for (a, _), v in OVERLAPS.items() if a == own)})
    write_table(root / "analysis", "adjacency", pd.DataFrame(rows))
    return root


def decoded(address: str) -> bytes:
    return base64.b64decode(address.split("base64,", 1)[1])


def test_cards_show_tiles_rivals_and_figures(study: Path) -> None:
    found = class_cards(AnalysedStudy.open(study))
    names = [card.name for card in found.cards]
    assert found.missing == ""
    assert "At most 12 training images" in found.rule
    assert names == AnalysedStudy.open(study).class_names
    for number, card in enumerate(found.cards):
        assert card.number == number
        assert card.tiles
        assert max(Image.open(io.BytesIO(decoded(card.tiles[0]))).size) <= TILE_SIDE_PX
        assert f'id="strips-{number}-' in card.strips.svg
        assert "href=" not in card.strips.svg.replace('href="#', "")
        assert card.profile is not None
    first, second, third = found.cards
    assert first.rival is not None
    assert second.rival is not None
    assert third.rival is None
    assert (first.rival.name, first.rival.link, first.rival.share) == (names[2], "#card-2", "0.125")
    assert first.rival.overlap == "0.750 (0.100 to 0.900)"
    assert first.rival.tiles == third.tiles[:3]
    assert (second.rival.name, second.rival.link) == (names[0], "#card-0")
    assert [row["name"] for row in first.neighbours] == [names[2], names[1]]


def test_pictures_come_from_training_images_only(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def remember(_dataset: object, _taxonomy: object, image_ids: list[str], **_options: object) -> list[object]:
        asked.extend(image_ids)
        return []

    monkeypatch.setattr(classes, "collect_specimens", remember)
    class_cards(AnalysedStudy.open(study))
    folds = json.loads((study / "splits.json").read_text())["folds"]
    assert asked == sorted(folds[0]["train"])
    assert not set(asked) & {*folds[0]["test"], *folds[0]["val"]}


def test_without_the_data_set_cards_have_no_pictures_and_say_why(study: Path, tmp_path: Path) -> None:
    root = tmp_path / "study"
    shutil.copytree(study, root)
    facts = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps(facts | {"path": str(root / "gone")}))
    found = class_cards(AnalysedStudy.open(root))
    missing = "There are no pictures of the classes: the data set is no longer where dataset.json says"
    assert found.missing.startswith(missing)
    assert len(found.cards) == 3
    assert all(not card.tiles and card.shapes == "" and card.strips.svg for card in found.cards)
    (root / "analysis" / "measures.csv").write_text(",".join(TABLES["measures"].columns) + "\n")
    assert class_cards(AnalysedStudy.open(root)).cards == ()
