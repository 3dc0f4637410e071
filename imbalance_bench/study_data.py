"""What a study rests on before any method is named: its data set, classes, splits and training counts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from imbalance_bench.data.class_statistics import ClassCounts, per_image_pixels, training_counts
from imbalance_bench.data.integrity import require_sound
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.split_import import read_splits
from imbalance_bench.data.splits import Splits, grouped_splits, published_splits
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.data_config import DataSection, SplitsSection
from imbalance_bench.errors import UserError, nearest

OnProgress = Callable[[str, int, int], None]  # what is being done, how far, of how much


@dataclass(frozen=True)
class StudyData:
    """A checked data set, divided.

    Attributes:
        dataset: The prepared data set.
        taxonomy: Merged classes.
        splits: The folds, each with test images.
        counts: Training counts of each fold.
        data_hash: Content of the data set.
    """

    dataset: PreparedDataset
    taxonomy: Taxonomy
    splits: Splits
    counts: tuple[ClassCounts, ...]
    data_hash: str


def read_study_data(
    dataset: PreparedDataset,
    section: DataSection,
    splits: SplitsSection,
    on_progress: OnProgress,
    *,
    known_hash: str | None = None,
) -> StudyData:
    """Check every image, merge classes, divide the images and count the training parts.

    Args:
        dataset: The prepared data set that `section` names.
        section: Which data set and classes.
        splits: How it is divided.
        on_progress: Called while data is read.
        known_hash: Content of the data set, where its files are known to be those that were found sound before.

    Raises:
        UserError: Anything is wrong with the data set, or it cannot be divided so.
    """
    taxonomy = Taxonomy(dataset.info, section.groups, section.ignore, section.class_order)
    _require_known_families(section, taxonomy)
    if known_hash is None:
        require_sound(dataset, on_progress=lambda n_done, total: on_progress("checking images", n_done, total))
    data_hash = known_hash or dataset.content_hash()
    folds = _make_splits(splits, dataset, taxonomy, on_progress)
    counts = tuple(training_counts(dataset, taxonomy, fold.train) for fold in folds.folds)
    for number, fold in enumerate(folds.folds):
        if not fold.test:
            raise UserError(
                f"{dataset.root / 'index.csv'}: fold {number} has no test image. "
                "Mark some, or set `splits.kind: grouped`."
            )
    return StudyData(dataset, taxonomy, folds, counts, data_hash)


def dataset_facts(section: DataSection, data: StudyData) -> dict[str, Any]:
    """Return what dataset.json says of the data; `planning` adds what it says of encoders."""
    taxonomy, info = data.taxonomy, data.dataset.info
    folds = [
        {
            "n_train": len(fold.train),
            "n_val": len(fold.val),
            "n_test": len(fold.test),
            "train": {
                name: getattr(counts, name).tolist()
                for name in ("pixels", "images", "components", "pixels_of_images_with_class")
            },
        }
        for fold, counts in zip(data.splits.folds, data.counts, strict=True)
    ]
    return {
        "name": info.name,
        "path": str(section.path.resolve()),
        "mpp_um": info.mpp_um,
        "groups_known": info.groups_known,
        "citation": info.citation,
        "licence": info.licence,
        "n_images": len(data.dataset.entries),
        "data_hash": data.data_hash,
        "classes": [
            {"id": k, "name": name, "colour": colour}
            for k, (name, colour) in enumerate(zip(taxonomy.names, taxonomy.colours, strict=True))
        ],
        "merging": {"groups": section.groups, "ignore": section.ignore}
        | ({"order": section.class_order} if section.class_order else {}),
        "families": section.families,
        "folds": folds,
    }


def _require_known_families(section: DataSection, taxonomy: Taxonomy) -> None:
    """Refuse a family of a class that there is not after merging."""
    for name in section.families:
        if name not in taxonomy.names:
            raise UserError(
                f"`dataset.families` must name classes after merging. Got '{name}'.{nearest(name, taxonomy.names)}"
            )


def _make_splits(
    section: SplitsSection, dataset: PreparedDataset, taxonomy: Taxonomy, on_progress: OnProgress
) -> Splits:
    presence = per_image_pixels(
        dataset, taxonomy, on_progress=lambda n_done, total: on_progress("counting classes", n_done, total)
    )
    if section.kind == "published":
        return published_splits(
            dataset,
            validation_fraction=section.validation_fraction,
            seed=section.seed,
            presence=presence,
            names=taxonomy.names,
        )
    if section.path is not None:
        return read_splits(section.path, dataset, presence, names=taxonomy.names, rotate=section.rotate)
    return grouped_splits(
        dataset,
        presence,
        folds=section.folds,
        repeats=section.repeats,
        test_fraction=section.test_fraction,
        validation_fraction=section.validation_fraction,
        seed=section.seed,
        names=taxonomy.names,
    )
