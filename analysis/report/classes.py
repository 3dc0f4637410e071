"""Difficulty cards in the report: from the tables of the analysis, with pictures if the data set still exists."""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.cards.card import Card, CardSource, make_cards
from analysis.cards.figures import tile_caption
from analysis.cards.specimens import RULE, Specimens, collect_specimens
from analysis.reading.analysed_study import AnalysedStudy
from analysis.study.dataset import open_study_data
from imbalance_bench.data.splits import Splits
from imbalance_bench.errors import UserError

MOST_IMAGES = 12  # searched for pictures: a report should not take as long as an analysis


@dataclass(frozen=True)
class ClassCards:
    """The cards of the section on classes.

    Args:
        cards: One per class; empty if nothing was measured.
        missing: Reason why there are no pictures; empty if there are.
        rule: Rule by which the pictures were chosen.
        tile_caption: Width of a tile, in words.
    """

    cards: Sequence[Card]
    missing: str
    rule: str
    tile_caption: str


def class_cards(study: AnalysedStudy) -> ClassCards:
    """Make the difficulty card of every class that was measured."""
    seed, mpp_um = int(study.plan.get("analysis", {}).get("seed", 0)), study.dataset.get("mpp_um")
    rule = f"{RULE.format(seed=seed)} At most {MOST_IMAGES} training images are looked through."
    measures = study.table("measures")
    if not set(study.class_names) <= set(measures["class"]):
        return ClassCards((), "", rule, tile_caption(mpp_um))
    missing, specimens = "", []
    try:
        specimens = _specimens(study, seed)
    except UserError as error:
        missing = f"There are no pictures of the classes: {error}"
    source = CardSource(
        class_names=study.class_names,
        colours=list(study.class_colour.values()),
        mpp_um=mpp_um,
        encoder="",
        measures=measures,
        profiles=study.table("border_profiles"),
        adjacency=study.table("adjacency"),
        specimens=specimens,
        link=lambda c: f"#card-{c}",
    )
    return ClassCards(make_cards(source), missing, rule, tile_caption(mpp_um))


def _specimens(study: AnalysedStudy, seed: int) -> list[Specimens]:
    """Draw pictures from the training images.

    Raises:
        UserError: The data set no longer exists or has changed.
    """
    dataset, taxonomy = open_study_data(study.root, study.dataset, study.class_names)
    folds = Splits.load(study.root / "splits.json").folds
    train = sorted({image_id for fold in folds for image_id in fold.train})
    return collect_specimens(dataset, taxonomy, train, seed=seed, most_images=MOST_IMAGES)
