"""The content of the cards: tables of measures, and the selection of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.cards.card import rival_row
from analysis.cards.specimens import Specimens, collect_specimens
from analysis.measures.cached_features import find_features
from analysis.measures.estimates import adjacency_table, border_profile_table, measure_table
from analysis.measures.feature_space import feature_sums
from analysis.measures.survey import OnProgress, survey
from analysis.schema import rows_of
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.errors import UserError
from imbalance_bench.preregistration import PRIMARY_MEASURES

BAND_UM = 2.0  # as `analysis.boundary_band_um` of a study
RESAMPLES = 2000


@dataclass(frozen=True)
class CardOptions:
    """Options of a description.

    Args:
        split: train, val or test; empty for every image.
        cache_dir: Folder in which `run` cached frozen features, or None.
        encoder: Name of the encoder, or of a store in the cache, needed if it holds several kinds of features.
        band_um: Width of the border band on each side, um.
        seed: Seed of the bootstrap and of the choice of pictures.
        workers: Number of processes; None for as many as are worthwhile.
    """

    split: str = ""
    cache_dir: Path | None = None
    encoder: str | None = None
    band_um: float = BAND_UM
    seed: int = 0
    workers: int | None = None


@dataclass(frozen=True)
class Description:
    """A described data set.

    Args:
        dataset: The data set.
        images: Ids of the measured images.
        n_groups: Number of their groups.
        options: The options.
        encoder: Name of the encoder whose features were used; empty without features.
        stores: Names of their stores in the cache.
        no_features: Reason why no features were used; empty if they were.
        measures: Table `measures`.
        profiles: Table `border_profiles`.
        adjacency: Table `adjacency`.
        specimens: Pictures of each class.
    """

    dataset: PreparedDataset
    images: tuple[str, ...]
    n_groups: int
    options: CardOptions
    encoder: str
    stores: tuple[str, ...]
    no_features: str
    measures: pd.DataFrame = field(repr=False)
    profiles: pd.DataFrame = field(repr=False)
    adjacency: pd.DataFrame = field(repr=False)
    specimens: Sequence[Specimens] = field(repr=False)

    @property
    def class_names(self) -> list[str]:
        """K names."""
        return [class_.name for class_ in self.dataset.info.classes]

    def primary(self, class_name: str) -> dict[str, dict[str, Any]]:
        """Return the row of each construct's primary measure, by construct."""
        rows = self.measures[self.measures["primary"] & (self.measures["class"] == class_name)]
        return {str(row["construct"]): row for row in rows_of(rows)}

    def rival(self, class_name: str) -> dict[str, Any] | None:
        """Return the row of table `adjacency` for the nearest rival, if the class has one."""
        return rival_row(self.adjacency, class_name)

    def as_json(self) -> dict[str, Any]:
        """Return the content of describe.json; missing numbers are null."""
        classes = []
        for name in self.class_names:
            rival = self.rival(name)
            rows = rows_of(self.measures[self.measures["class"] == name])
            keys = ("construct", "primary", "value", "low", "high", "n", "unit")
            measures = {row["measure"]: {key: _plain(row[key]) for key in keys} for row in rows}
            classes.append({"name": name, "nearest_rival": rival and rival["other"], "measures": measures})
        return {
            "dataset": self.dataset.info.name,
            "mpp_um": self.dataset.info.mpp_um,
            "groups_known": self.dataset.info.groups_known,
            "images": len(self.images),
            "groups": self.n_groups,
            "split": self.options.split,
            "band_um": self.options.band_um,
            "seed": self.options.seed,
            "resamples": RESAMPLES,
            "encoder": self.encoder or None,
            "features": list(self.stores),
            "no_features": self.no_features or None,
            "primary": dict(PRIMARY_MEASURES),
            "classes": classes,
        }


def describe_dataset(root: Path, options: CardOptions, *, on_progress: OnProgress | None = None) -> Description:
    """Measure the classes of a prepared data set.

    Args:
        root: The data set's folder; nothing is written there.
        options: Options of the description.
        on_progress: Called with (name of the task, steps completed, steps in all).

    Raises:
        UserError: The data set is invalid, no image is in the split, or the cache holds several kinds of features.
    """
    dataset = PreparedDataset.open(root)
    taxonomy = Taxonomy(dataset.info)
    images = tuple(entry.image_id for entry in dataset.entries if options.split in ("", entry.split))
    if not images:
        raise UserError(f"{root}/index.csv has no image in split '{options.split}'. Leave --split out for all images.")
    surveyed = survey(
        dataset, taxonomy, [images], band_um=options.band_um, workers=options.workers, on_progress=on_progress
    )
    cached, features, reason = None, None, "no cache of features was given"
    if options.cache_dir is not None:
        cached = find_features(options.cache_dir, dataset, data_hash=dataset.content_hash(), wanted=options.encoder)
        features = None if cached is None else feature_sums(cached, dataset, taxonomy, surveyed)
        named = options.encoder or "a frozen encoder"
        reason = f"{options.cache_dir} holds no features of {named} for this data set" if cached is None else ""
    resampling: dict[str, Any] = {"resamples": RESAMPLES, "seed": options.seed}
    return Description(
        dataset=dataset,
        images=images,
        n_groups=int(surveyed.n_groups.sum()),
        options=options,
        encoder="" if features is None else features.encoder,
        stores=() if cached is None else tuple(folder.name for folder in cached.folders),
        no_features=reason,
        measures=measure_table(surveyed, taxonomy.names, features=features, **resampling),
        profiles=border_profile_table(surveyed, taxonomy.names, **resampling),
        adjacency=adjacency_table(surveyed, taxonomy.names, features=features, **resampling),
        specimens=collect_specimens(dataset, taxonomy, images, seed=options.seed),
    )


def _plain(value: Any) -> Any:
    """Return a value as a type of JSON."""
    if isinstance(value, str):
        return value
    value = value.item() if hasattr(value, "item") else value
    return None if value != value else value
